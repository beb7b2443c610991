#include "node/prepared_state.hpp"

#include <algorithm>
#include <map>
#include <thread>

#include "device/gpu.hpp"
#include "device/workspace.hpp"
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

// The GPUs that the entries' memory belongs to, each at the end of what is in the stream now.
std::map<int, std::shared_ptr<device::Gpu>> gpus_after(device::Stream stream,
                                                       const std::vector<StateEntry>& entries) {
  std::map<int, std::shared_ptr<device::Gpu>> gpus;
  if (!device::has_cuda_support()) return gpus;
  for (const StateEntry& entry : entries)
    if (!entry.may_differ && entry.where.place != device::Place::host)
      gpus[entry.where.gpu] = nullptr;
  for (auto& [ordinal, gpu] : gpus) {
    gpu = device::Gpu::at(ordinal);
    device::wait_for(ordinal, stream);
  }
  return gpus;
}

Outcome try_prepare(std::vector<StateEntry> entries, PreparedState& prepared,
                    device::Stream stream) {
  const auto gpus = gpus_after(stream, entries);
  for (StateEntry& entry : entries) {
    prepared.entries.push_back({std::move(entry.name), entry.type, entry.count, entry.may_differ});
    if (entry.may_differ) continue;
    prepared.entry_of.push_back(prepared.entries.size() - 1);
    prepared.tensors.push_back(
        {static_cast<std::byte*>(entry.data), entry.count * size_of(entry.type),
         entry.where.place == device::Place::cuda ? gpus.at(entry.where.gpu) : nullptr});
  }
  std::string why;
  auto map = shared_state::cut_into_blocks(prepared.tensors, why);
  if (!map) return {Status::invalid_argument, why};
  prepared.map = *std::move(map);
  prepared.keys = digest_of(prepared.entries);
  return read_again(prepared);
}

}  // namespace

Outcome prepare(std::vector<StateEntry> entries, PreparedState& prepared, device::Stream stream) {
  try {
    return try_prepare(std::move(entries), prepared, stream);
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
  if (!read_again(state).ok()) return true;
  if (state.digest.content == before) return is(before);
  left_ = state.digest.content;
  return true;
}

}  // namespace pccl::node
