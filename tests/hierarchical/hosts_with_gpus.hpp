// Hosts with several GPUs each, in one process: CUDA, NCCL and the ring across hosts are stand-ins.
// What NCCL has been asked is carried out later and in any order that the streams allow, so whoever
// does not wait is found out.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "device/fake_nccl.hpp"
#include "device/fake_runtime.hpp"
#include "hierarchical/all_reduce.hpp"
#include "hierarchical/peer_group.hpp"

namespace pccl::hierarchical {

using node::ReduceInfo;
using node::ReduceRequest;
using pccl_test::FakeNccl;
using pccl_test::InstalledNccl;
using pccl_test::InstalledRuntime;
using pccl_test::PeerGroup;

struct Rank {
  std::size_t host = 0, local = 0;
  int gpu = 0;
  ncclComm* comm = nullptr;
  device::Stream application = nullptr;
  std::unique_ptr<AllReduce> reducer;
  AcrossHosts across;
  bool in_run = true;
  std::atomic<bool> has_left = false;
};

class HostsWithGpus : public testing::Test {
 protected:
  void make(std::size_t hosts, std::size_t locals);
  static void attach(Rank& rank, std::uint32_t block = 0);

  void on_all(const std::function<void(Rank&)>& work);

  // Memory of the rank's GPU with its input, which its application's stream writes some time later.
  std::byte* input(Rank& rank, DataType type, std::size_t count);
  void write(const Rank& rank, DataType type, std::size_t count, std::byte* at) const;
  int value(const Rank& rank, DataType type, std::size_t i) const;
  std::vector<std::byte> input_of(const Rank& rank, DataType type, std::size_t count) const;
  std::vector<std::byte> expected(DataType type, RedOp op, std::size_t count) const;
  static std::vector<std::byte> bytes_at(const std::byte* at, DataType type, std::size_t count);

  static ReduceRequest request(DataType type, RedOp op, std::size_t count, const void* send,
                               void* receive, std::uint64_t tag = 5);
  static Outcome launch(Rank& rank, const Outcome& checked, ReduceRequest wanted);
  static Outcome reduce(Rank& rank, const ReduceRequest& wanted, ReduceInfo& info);

  void expect_reduced(DataType type, RedOp op, std::size_t count, bool in_place);

  // All fail alike, and all buffers are as they were.
  void expect_failed(Status status, const std::string& words, std::size_t count = 10);

  InstalledRuntime cuda;
  InstalledNccl nccl{*cuda};
  std::vector<std::unique_ptr<PeerGroup>> groups;  // by local rank
  std::vector<std::unique_ptr<Rank>> ranks;
};

}  // namespace pccl::hierarchical
