// What a communicator asks of its PeerNode, and what it is told.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/algorithm.hpp"
#include "base/dtype.hpp"
#include "base/endpoint.hpp"
#include "base/ids.hpp"
#include "base/quantization.hpp"
#include "base/sync_strategy.hpp"
#include "base/time.hpp"
#include "device/runtime.hpp"

namespace pccl::device {
struct Workspace;
}

namespace pccl::node {

struct PeerOptions {
  Endpoint master;
  std::uint32_t peer_group = 0;
  Cohort cohort;
  std::uint32_t lanes = 0;  // TCP connections to each ring neighbour; 0: automatic
  Duration peer_timeout = std::chrono::seconds(3);
  Duration master_timeout = std::chrono::seconds(60);
  bool shared_memory = true;    // with ring neighbours on this machine
  Duration connect_timeout{0};  // limit of the wait for admission; 0: none
  AlgorithmWish algorithm{};
};

// What the caller has seen of the membership (contract.md 1.5).
struct Attributes {
  std::uint32_t global_world_size = 0;
  std::uint32_t group_world_size = 0;
  std::uint32_t distinct_groups = 0;
  std::uint32_t largest_group_world_size = 0;
  std::uint32_t star_bytes = 0;    // of the largest all-reduce through the master
  std::size_t pairwise_bytes = 0;  // of the largest that two members exchange
};

// Where the application's memory is, if not on the host alone, and after what work it may be read.
struct OnGpu {
  device::Location location;
  device::Stream stream = nullptr;  // the application's; null: CUDA's default stream
};

struct ReduceRequest {
  const void* send = nullptr;
  void* receive = nullptr;
  std::size_t count = 0;
  DataType type = DataType::float32;
  RedOp op = RedOp::sum;
  QuantizationOptions quantization{};
  float* residual = nullptr;  // error feedback: `count` of them; as before when the op fails
  std::uint64_t tag = 0;
  OnGpu on_gpu{};                // where both buffers and the residuals are
  bool awaited_at_once = false;  // by the thread that launches it
  // What it uses of its GPU, where the caller has made it beforehand; null: the launch makes it.
  std::shared_ptr<device::Workspace> workspace{};
};

struct ReduceInfo {
  std::uint32_t world_size = 0;
  std::uint64_t tx_bytes = 0;
  std::uint64_t rx_bytes = 0;
};

// One entry of the shared state; `data` is the application's until synchronize() is called and
// after it has returned.
struct StateEntry {
  std::string name;
  void* data = nullptr;
  std::uint64_t count = 0;
  DataType type = DataType::float32;
  bool may_differ = false;  // neither compared nor sent
  device::Location where{};
};

struct SyncRequest {
  std::vector<StateEntry> entries;
  std::uint64_t revision = 0;
  SyncStrategy strategy = SyncStrategy::enforce_popular;
  // What the application has put into it comes before the first read of a GPU's memory. Null is
  // CUDA's default stream.
  device::Stream stream = nullptr;
};

struct SyncInfo {
  std::uint64_t revision = 0;
  std::uint64_t tx_bytes = 0;
  std::uint64_t rx_bytes = 0;
};

// Of the blocks that a sync fetches: bytes that are here and checked, and all of them.
struct SyncProgress {
  std::uint64_t bytes_here = 0;
  std::uint64_t bytes_wanted = 0;
};

}  // namespace pccl::node
