#include "sim/values.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>

namespace pccl::sim {

namespace {

constexpr std::size_t block = period * sizeof(std::uint32_t);

template <typename T>
T reduced(RedOp op, std::uint32_t pattern, const std::vector<std::uint32_t>& amounts) {
  std::uint32_t sum = 0, largest = 0, smallest = ~0u;
  for (const std::uint32_t amount : amounts) {
    sum += pattern + amount;
    largest = std::max(largest, pattern + amount);
    smallest = std::min(smallest, pattern + amount);
  }
  switch (op) {
    case RedOp::max:
      return static_cast<T>(largest);
    case RedOp::min:
      return static_cast<T>(smallest);
    case RedOp::avg:
      return static_cast<T>(static_cast<T>(sum) / static_cast<T>(amounts.size()));
    default:
      return static_cast<T>(sum);
  }
}

Snapshot reduce_by(RedOp op, const OpSpec& spec, const std::vector<std::uint32_t>& amounts) {
  Snapshot snapshot;
  snapshot.bytes = spec.bytes();
  for (std::uint32_t i = 0; i < period; ++i) {
    const std::uint32_t pattern =
        spec.flat ? 0 : (spec.pattern + i) % 11 + (spec.pattern >> 8) % 97;
    snapshot.bits[i] = spec.type == DataType::float32
                           ? std::bit_cast<std::uint32_t>(reduced<float>(op, pattern, amounts))
                           : reduced<std::uint32_t>(op, pattern, amounts);
  }
  return snapshot;
}

}  // namespace

std::uint32_t amount_of(int slot, std::uint32_t attempt) {
  return (256u << (slot % 12)) + attempt % 32;
}

Snapshot input_of(const OpSpec& spec, std::uint32_t amount) {
  return reduce_by(RedOp::sum, spec, {amount});
}

Snapshot result_of(const OpSpec& spec, const std::vector<std::uint32_t>& amounts) {
  return reduce_by(spec.op, spec, amounts);
}

void Snapshot::write(std::byte* out) const {
  const std::size_t head = std::min(block, bytes);
  if (head > 0) std::memcpy(out, bits.data(), head);
  for (std::size_t done = head; done < bytes;) {  // doubling
    const std::size_t next = std::min(done, bytes - done);
    std::memcpy(out + done, out, next);
    done += next;
  }
}

bool Snapshot::matches(const std::byte* data) const {
  const std::size_t head = std::min(block, bytes);
  return head == 0 || (std::memcmp(data, bits.data(), head) == 0 &&
                       std::memcmp(data, data + head, bytes - head) == 0);
}

std::string Snapshot::first_difference(const std::byte* data) const {
  for (std::size_t i = 0; i < bytes / sizeof(std::uint32_t); ++i) {
    std::uint32_t found;
    std::memcpy(&found, data + i * sizeof found, sizeof found);
    if (found == bits[i % period]) continue;
    return fmt::format("element {} is {:#x} (as float {}), not {:#x} (as float {})", i, found,
                       std::bit_cast<float>(found), bits[i % period],
                       std::bit_cast<float>(bits[i % period]));
  }
  return "no element differs";
}

}  // namespace pccl::sim
