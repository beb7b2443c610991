#include "node/prepared_state.hpp"

#include <algorithm>
#include <thread>

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

}  // namespace

Outcome prepare(std::vector<StateEntry> entries, PreparedState& prepared) {
  for (StateEntry& entry : entries) {
    prepared.entries.push_back({std::move(entry.name), entry.type, entry.count, entry.may_differ});
    if (entry.may_differ) continue;
    prepared.entry_of.push_back(prepared.entries.size() - 1);
    prepared.tensors.push_back(
        {static_cast<std::byte*>(entry.data), entry.count * size_of(entry.type)});
  }
  std::string why;
  auto map = shared_state::cut_into_blocks(prepared.tensors, why);
  if (!map) return {Status::invalid_argument, why};
  prepared.map = *std::move(map);
  prepared.keys = digest_of(prepared.entries);
  read_again(prepared);
  return {};
}

void read_again(PreparedState& prepared) {
  prepared.digest = shared_state::digest_state(prepared.tensors, prepared.map, threads());
}

bool Mixture::broke_off(PreparedState& state) {
  const Digest before = state.digest.content;
  read_again(state);
  if (state.digest.content == before) return is(before);
  left_ = state.digest.content;
  return true;
}

}  // namespace pccl::node
