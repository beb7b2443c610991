// Every set of kernels against `scalar`, bit for bit, on arbitrary operands.
//
// Input: type, op, world size, how the output lies (apart, on a, on b) and how far off alignment,
// one byte each; then the operands, a before b. Buffers are of the exact size, so that a sanitizer
// sees one byte too many.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <span>
#include <string>

#include "kernels/dispatch.hpp"

namespace {

using namespace pccl;
using kernels::KernelSet;

enum class Output { apart, on_a, on_b };

struct Case {
  DataType type;
  RedOp op;
  std::uint32_t world_size;
  Output output;
  std::size_t offset;  // of each operand from the start of its allocation
  std::span<const std::uint8_t> a, b;
  std::size_t count() const { return a.size() / size_of(type); }
};

class Buffer {
 public:
  Buffer(std::span<const std::uint8_t> content, std::size_t offset)
      : bytes_(new std::uint8_t[offset + content.size()]), offset_(offset) {
    if (!content.empty()) std::memcpy(data(), content.data(), content.size());
  }
  std::uint8_t* data() { return bytes_.get() + offset_; }

 private:
  std::unique_ptr<std::uint8_t[]> bytes_;
  std::size_t offset_;
};

// What this set makes of the case: the reduction, then its average.
Buffer result_of(const KernelSet& set, const Case& input, Buffer& reduced) {
  Buffer a(input.a, input.offset), b(input.b, input.offset);
  std::uint8_t* const out = input.output == Output::on_a   ? a.data()
                            : input.output == Output::on_b ? b.data()
                                                           : reduced.data();
  set.reduce(input.op, input.type, out, a.data(), b.data(), input.count());
  if (out != reduced.data() && !input.a.empty()) std::memcpy(reduced.data(), out, input.a.size());
  Buffer averaged({reduced.data(), input.a.size()}, input.offset);
  set.average(input.type, averaged.data(), input.count(), input.world_size);
  return averaged;
}

void require_equal(const char* step, const KernelSet& set, const Case& input, Buffer& actual,
                   Buffer& expected) {
  if (input.a.empty() || std::memcmp(actual.data(), expected.data(), input.a.size()) == 0) return;
  std::fprintf(stderr, "%s of %s %s: %s differs from scalar\n", step,
               std::string(name_of(input.type)).c_str(), std::string(name_of(input.op)).c_str(),
               std::string(set.name).c_str());
  std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::size_t header_bytes = 5;
  if (size < header_bytes) return 0;
  const auto type = static_cast<DataType>(data[0] % data_type_count);
  const std::size_t operand_bytes = (size - header_bytes) / 2 / size_of(type) * size_of(type);
  const Case input{.type = type,
                   .op = static_cast<RedOp>(data[1] % red_op_count),
                   .world_size = data[2] + 1u,
                   .output = static_cast<Output>(data[3] % 3),
                   .offset = data[4] % 64u,
                   .a = {data + header_bytes, operand_bytes},
                   .b = {data + header_bytes + operand_bytes, operand_bytes}};

  const std::span<const std::uint8_t> blank = input.a;  // only its size matters
  Buffer expected(blank, input.offset);
  Buffer expected_average = result_of(kernels::scalar_kernels, input, expected);
  for (const KernelSet* set : kernels::available_kernel_sets()) {
    Buffer actual(blank, input.offset);
    Buffer actual_average = result_of(*set, input, actual);
    require_equal("reduction", *set, input, actual, expected);
    require_equal("average", *set, input, actual_average, expected_average);
  }
  return 0;
}
