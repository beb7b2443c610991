#include "node/prepared_state.hpp"

#include <algorithm>
#include <thread>

#include "device/gpu.hpp"
#include "kernels/digest.hpp"

namespace pccl::node {

namespace {

// More of them do not make memory faster.
constexpr unsigned most_threads = 16;

unsigned threads() {
  return std::clamp(std::thread::hardware_concurrency(), 1U, most_threads);
}

Digest digest_of(const std::vector<wire::StateEntry>& entries) {
  kernels::Digester digester;
  const auto add = [&](const auto& value) { digester.add(std::as_bytes(std::span(&value, 1))); };
  for (const wire::StateEntry& entry : entries) {
    add(static_cast<std::uint64_t>(entry.name.size()));
    digester.add(std::as_bytes(std::span(entry.name)));
    add(entry.count);
    add(static_cast<std::uint8_t>(entry.type));
    add(static_cast<std::uint8_t>(entry.may_differ));
  }
  return digester.finish();
}

Outcome try_prepare(const std::vector<StateEntry>& entries, PreparedState& prepared) {
  for (const StateEntry& entry : entries) {
    prepared.entries.push_back({entry.name, entry.type, entry.count, entry.may_differ});
    if (entry.may_differ) continue;
    prepared.entry_of.push_back(prepared.entries.size() - 1);
    prepared.tensors.push_back(
        {static_cast<std::byte*>(entry.data), entry.count * size_of(entry.type),
         entry.where.place == device::Place::cuda ? device::Gpu::at(entry.where.gpu) : nullptr});
  }
  std::string why;
  auto map = shared_state::cut_into_blocks(prepared.tensors, why);
  if (!map) return {Status::invalid_argument, why};
  prepared.map = *std::move(map);
  prepared.keys = digest_of(prepared.entries);
  return read_again(prepared);
}

}  // namespace

Outcome prepare(const std::vector<StateEntry>& entries, PreparedState& prepared) {
  try {
    return try_prepare(entries, prepared);
  } catch (const device::Error& error) {
    return {Status::internal, error.what()};
  }
}

Outcome read_again(PreparedState& prepared) {
  try {
    prepared.digest = shared_state::digest_state(prepared.tensors, prepared.map, threads());
    return {};
  } catch (const device::Error& error) {
    return {Status::internal, error.what()};
  }
}

bool Mixture::broke_off(PreparedState& state) {
  const Digest before = state.digest.content;
  if (!read_again(state).ok()) {
    unread_ = true;
    return true;
  }
  if (state.digest.content == before) return is(before);
  left_ = state.digest.content;
  return true;
}

}  // namespace pccl::node
