#include "shared_state/device_digests.hpp"

#include <algorithm>

#include "device/host_memory.hpp"
#include "kernels/digest.hpp"
#include "shared_state/device_copies.hpp"

namespace pccl::shared_state {

namespace {

// Memory for blocks that are read on the host: enough for a copy of each, at a time.
constexpr std::size_t batch_bytes = 16 << 20;

bool aligned(const std::byte* at) {
  return reinterpret_cast<std::uintptr_t>(at) % 8 == 0;
}

}  // namespace

DeviceDigests::DeviceDigests(StateView state, const BlockMap& map) : state_(state), map_(map) {
  sort_blocks();
  for (auto& [gpu, work] : work_) start(work, *gpu);
}

void DeviceDigests::sort_blocks() {
  for (std::uint32_t block = 0; block < map_.blocks(); ++block) {
    const auto piece = map_.only_piece(block);
    if (!piece) {
      if (on_gpu(state_, map_, block)) others_.push_back(block);
      continue;
    }
    const auto& gpu = state_[piece->tensor].gpu;
    if (gpu == nullptr) continue;
    const auto bytes = bytes_of(state_, *piece);
    if (!aligned(bytes.data()) || bytes.size() < kernels::cuda::shortest_device_digest) {
      others_.push_back(block);
      continue;
    }
    Work& work = work_[gpu];
    work.blocks.push_back(block);
    work.jobs.push_back({bytes.data(), bytes.size()});
  }
}

//   the GPU's memory   | secret | jobs | digests |
void DeviceDigests::start(Work& work, device::Gpu& gpu) {
  const auto secret = kernels::digest_secret();
  const auto jobs = std::as_bytes(std::span(work.jobs));
  work.digests.resize(work.jobs.size());
  work.memory = gpu.memory(secret.size() + jobs.size() + std::span(work.digests).size_bytes());
  work.queue = gpu.queue();
  std::byte* const secret_there = work.memory.data();
  std::byte* const jobs_there = secret_there + secret.size();
  work.digests_there = jobs_there + jobs.size();
  work.queue->copy(secret_there, secret.data(), secret.size());
  work.queue->copy(jobs_there, jobs.data(), jobs.size());
  work.queue->digest(reinterpret_cast<const kernels::cuda::DigestJob*>(jobs_there),
                     work.jobs.size(), reinterpret_cast<std::uint8_t*>(work.digests_there),
                     secret_there);
}

void DeviceDigests::finish(std::span<Digest> digests) {
  read_on_host(digests);
  for (auto& [gpu, work] : work_) {
    // Not before: to ordinary memory CUDA copies while the caller waits.
    work.queue->copy(work.digests.data(), work.digests_there, std::span(work.digests).size_bytes());
    if (const int error = work.queue->wait(); error != 0)
      throw device::Error(gpu->runtime(), gpu->ordinal(), "digests of the shared state", error);
    for (std::size_t job = 0; job < work.jobs.size(); ++job)
      digests[work.blocks[job]] = work.digests[job];
  }
}

void DeviceDigests::read_on_host(std::span<Digest> digests) const {
  if (others_.empty()) return;
  const std::size_t at_once =
      std::clamp<std::size_t>(batch_bytes / map_.block_bytes(), 1, others_.size());
  const auto memory = device::host_memory(gpu_of(state_), at_once * map_.block_bytes());
  const auto place = [&](std::size_t nth, std::uint32_t block) {
    return std::span(memory.get() + nth * map_.block_bytes(), map_.length(block));
  };
  DeviceCopies copies;
  std::span<const std::uint32_t> rest = others_;
  while (!rest.empty()) {
    const auto batch = rest.first(std::min(at_once, rest.size()));
    rest = rest.subspan(batch.size());
    for (std::size_t nth = 0; nth < batch.size(); ++nth)
      copies.gather(state_, map_, batch[nth], place(nth, batch[nth]));
    copies.wait();
    if (!copies.error().empty()) throw device::Error(copies.error());
    for (std::size_t nth = 0; nth < batch.size(); ++nth)
      digests[batch[nth]] = kernels::digest(place(nth, batch[nth]));
  }
}

}  // namespace pccl::shared_state
