// All-reduces over hosts with several GPUs each, in one process: CUDA, NCCL and the ring across
// hosts are stand-ins. What NCCL has been asked is carried out later and in any order that the
// streams allow, so whoever does not wait is found out.
#include "hierarchical/all_reduce.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <condition_variable>
#include <cstring>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "base/interrupt_check.hpp"
#include "device/fake_nccl.hpp"
#include "device/fake_runtime.hpp"
#include "kernels/host_kernels.hpp"

namespace pccl::hierarchical {
namespace {

using node::ReduceInfo;
using node::ReduceRequest;
using pccl_test::FakeNccl;
using pccl_test::InstalledNccl;
using pccl_test::InstalledRuntime;

// The peer group of one rank of each host.
class Group {
 public:
  explicit Group(std::size_t hosts) : hosts_(hosts) {}

  Outcome launch(const ReduceRequest& request) {
    const std::lock_guard guard(mutex_);
    if (refuses.ok()) requests_.push_back(request);
    return refuses;
  }
  // All meet; the last to come reduces.
  Outcome await(std::uint64_t tag, ReduceInfo& info) {
    std::unique_lock lock(mutex_);
    const std::size_t round = round_;
    if (++waiting_ == hosts_) {
      reduce(tag);
      waiting_ = 0;
      ++round_;
      met_.notify_all();
    } else {
      met_.wait(lock, [&] { return round_ != round; });
    }
    if (outcome_.ok())
      info = {world_size == 0 ? static_cast<std::uint32_t>(hosts_) : world_size, 10, 20};
    return outcome_;
  }
  std::vector<ReduceRequest> of(std::uint64_t tag) {
    const std::lock_guard guard(mutex_);
    return find(tag);
  }

  void forget() {  // what has been launched
    const std::lock_guard guard(mutex_);
    requests_.clear();
  }

  Outcome refuses;               // launches
  std::vector<Outcome> fails;    // the next awaits of all, one after the other
  std::uint32_t world_size = 0;  // other than there are hosts

 private:
  // The lock is held.
  std::vector<ReduceRequest> find(std::uint64_t tag) const {
    std::vector<ReduceRequest> found;
    for (const ReduceRequest& request : requests_)
      if (request.tag == tag) found.push_back(request);
    return found;
  }
  void reduce(std::uint64_t tag) {
    const std::vector<ReduceRequest> all = find(tag);
    std::erase_if(requests_, [&](const ReduceRequest& request) { return request.tag == tag; });
    outcome_ = {};
    if (!fails.empty()) {
      outcome_ = fails.front();
      fails.erase(fails.begin());
    }
    const ReduceRequest& first = all.front();
    EXPECT_EQ(all.size(), hosts_);
    for (const ReduceRequest& request : all) {
      EXPECT_EQ(request.send, request.receive);
      EXPECT_EQ(request.count, first.count);
      EXPECT_NE(request.op, RedOp::avg);
      if (&request != &all.front())
        kernels::on_host::reduce(first.op, first.type, first.receive, first.receive, request.send,
                                 first.count);
    }
    const std::size_t bytes = first.count * size_of(first.type);  // of no bytes there is no address
    for (const ReduceRequest& request : all)
      if (!outcome_.ok())
        std::fill_n(static_cast<std::byte*>(request.receive), bytes, std::byte{0x77});
      else if (&request != &all.front())
        std::copy_n(static_cast<const std::byte*>(first.receive), bytes,
                    static_cast<std::byte*>(request.receive));
  }

  const std::size_t hosts_;
  std::mutex mutex_;
  std::condition_variable met_;
  std::vector<ReduceRequest> requests_;
  std::size_t waiting_ = 0, round_ = 0;
  Outcome outcome_;
};

// 0, 1, 2 or -1 of any type, whose sums and products over a few ranks are exact.
void store(DataType type, int value, std::byte* at) {
  const auto as = [at]<typename T>(T number) { std::memcpy(at, &number, sizeof number); };
  switch (type) {
    case DataType::float16:
      return as(static_cast<std::uint16_t>(value == 0   ? 0
                                           : value == 1 ? 0x3c00
                                           : value == 2 ? 0x4000
                                                        : 0xbc00));
    case DataType::bfloat16:
      return as(static_cast<std::uint16_t>(value == 0   ? 0
                                           : value == 1 ? 0x3f80
                                           : value == 2 ? 0x4000
                                                        : 0xbf80));
    case DataType::float32:
      return as(static_cast<float>(value));
    case DataType::float64:
      return as(static_cast<double>(value));
    default:
      break;
  }
  const auto wide = static_cast<std::int64_t>(value);
  std::memcpy(at, &wide, size_of(type));
}
bool is_unsigned(DataType type) {
  return type == DataType::uint8 || type == DataType::uint32 || type == DataType::uint64;
}

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

class Hierarchical : public testing::Test {
 protected:
  void make(std::size_t hosts, std::size_t locals) {
    ranks.clear();
    groups.clear();
    for (std::size_t local = 0; local < locals; ++local)
      groups.push_back(std::make_unique<Group>(hosts));
    for (std::size_t host = 0; host < hosts; ++host) {
      const auto comms = nccl->host(static_cast<int>(locals), static_cast<int>(host * locals));
      for (std::size_t local = 0; local < locals; ++local) {
        auto rank = std::make_unique<Rank>();
        rank->host = host;
        rank->local = local;
        rank->gpu = static_cast<int>(host * locals + local);
        rank->comm = comms[local];
        rank->application = cuda->application_stream(rank->gpu);
        attach(*rank);
        Group& group = *groups[local];
        rank->across = {
            .launch = [&group](const ReduceRequest& request) { return group.launch(request); },
            .await = [&group](std::uint64_t tag,
                              ReduceInfo& info) { return group.await(tag, info); },
            .presence = {.in_run = [&mine = *rank] { return mine.in_run; },
                         .leave_run = [&mine =
                                           *rank](const std::string&) { mine.has_left = true; }}};
        ranks.push_back(std::move(rank));
      }
    }
  }
  void attach(Rank& rank) {
    std::string why;
    device::Nccl* const found = device::find_nccl(why);
    Outcome wrong;
    auto local = device::LocalRanks::of(*found, rank.comm, wrong);
    ASSERT_NE(local, nullptr) << wrong.why;
    rank.reducer = std::make_unique<AllReduce>(std::move(local));
  }

  void on_all(const std::function<void(Rank&)>& work) {
    std::vector<std::thread> threads;
    for (const auto& rank : ranks) threads.emplace_back([&work, &rank] { work(*rank); });
    for (std::thread& thread : threads) thread.join();
  }

  // Memory of the rank's GPU with its input, which its application's stream writes some time later.
  std::byte* input(Rank& rank, DataType type, std::size_t count) {
    std::byte* const at = cuda->device_memory(count * size_of(type), rank.gpu);
    cuda->put(
        rank.application, [this, &rank, type, count, at] { write(rank, type, count, at); },
        rank.gpu);
    return at;
  }
  void write(const Rank& rank, DataType type, std::size_t count, std::byte* at) const {
    for (std::size_t i = 0; i < count; ++i)
      store(type, value(rank, type, i), at + i * size_of(type));
  }
  int value(const Rank& rank, DataType type, std::size_t i) const {
    const std::size_t mixed = (rank.host * 7 + rank.local * 3 + i) % (is_unsigned(type) ? 2 : 3);
    return mixed == 2 ? -1 : static_cast<int>(mixed) + 1;
  }
  std::vector<std::byte> input_of(const Rank& rank, DataType type, std::size_t count) const {
    std::vector<std::byte> bytes(count * size_of(type));
    write(rank, type, count, bytes.data());
    return bytes;
  }
  std::vector<std::byte> expected(DataType type, RedOp op, std::size_t count) const {
    std::vector<std::byte> sum = input_of(*ranks.front(), type, count);
    for (std::size_t i = 1; i < ranks.size(); ++i)
      kernels::on_host::reduce(op, type, sum.data(), sum.data(),
                               input_of(*ranks[i], type, count).data(), count);
    kernels::on_host::finalize(op, type, sum.data(), count,
                               static_cast<std::uint32_t>(ranks.size()));
    return sum;
  }
  static std::vector<std::byte> bytes_at(const std::byte* at, DataType type, std::size_t count) {
    return {at, at + count * size_of(type)};
  }

  static ReduceRequest request(DataType type, RedOp op, std::size_t count, const void* send,
                               void* receive, std::uint64_t tag = 5) {
    ReduceRequest made;
    made.send = send;
    made.receive = receive;
    made.count = count;
    made.type = type;
    made.op = op;
    made.tag = tag;
    return made;
  }
  static Outcome launch(Rank& rank, const Outcome& checked, ReduceRequest wanted) {
    wanted.on_gpu.stream = rank.application;
    return rank.reducer->launch(rank.across, checked, wanted);
  }
  static Outcome reduce(Rank& rank, const ReduceRequest& wanted, ReduceInfo& info) {
    if (Outcome refused = launch(rank, {}, wanted); !refused.ok()) return refused;
    return rank.reducer->await(rank.across, wanted.tag, info);
  }

  void expect_reduced(DataType type, RedOp op, std::size_t count, bool in_place) {
    SCOPED_TRACE(std::string(name_of(type)) + " " + std::string(name_of(op)) + " " +
                 std::to_string(count));
    on_all([&](Rank& rank) {
      std::byte* const send = input(rank, type, count);
      std::byte* const receive =
          in_place ? send : cuda->device_memory(count * size_of(type), rank.gpu);
      ReduceInfo info;
      const Outcome outcome = reduce(rank, request(type, op, count, send, receive), info);
      EXPECT_TRUE(outcome.ok()) << outcome.why;
      EXPECT_EQ(info.world_size, ranks.size() / groups.size());
      EXPECT_EQ(bytes_at(receive, type, count), expected(type, op, count));
      if (!in_place) {
        EXPECT_EQ(bytes_at(send, type, count), input_of(rank, type, count));
        cuda->release(receive);
      }
      cuda->release(send);
    });
  }

  // All fail alike, and all buffers are as they were.
  void expect_failed(Status status, const std::string& words, std::size_t count = 10) {
    on_all([&](Rank& rank) {
      std::byte* const buffer = input(rank, DataType::float32, count);
      ReduceInfo info;
      const Outcome outcome =
          reduce(rank, request(DataType::float32, RedOp::sum, count, buffer, buffer), info);
      EXPECT_EQ(outcome.status, status) << outcome.why;
      EXPECT_NE(outcome.why.find(words), std::string::npos) << outcome.why;
      cuda->wait(rank.gpu, rank.application);
      EXPECT_EQ(bytes_at(buffer, DataType::float32, count),
                input_of(rank, DataType::float32, count));
      EXPECT_FALSE(rank.reducer->in_flight(5));
      cuda->release(buffer);
    });
  }

  InstalledRuntime cuda;
  InstalledNccl nccl{*cuda};
  std::vector<std::unique_ptr<Group>> groups;  // by local rank
  std::vector<std::unique_ptr<Rank>> ranks;
};

TEST_F(Hierarchical, ReducesWhateverTheCount) {
  for (const std::size_t locals : {1u, 2u, 3u, 4u}) {
    SCOPED_TRACE(locals);
    make(2, locals);
    for (const std::size_t count :
         {std::size_t{0}, std::size_t{1}, locals - 1, locals, locals + 1, std::size_t{1000}})
      for (const bool in_place : {false, true})
        expect_reduced(DataType::float32, RedOp::sum, count, in_place);
  }
}

TEST_F(Hierarchical, ReducesEveryTypeWithEveryOp) {
  make(2, 3);
  for (unsigned type = 0; type < data_type_count; ++type) {
    if (!device::nccl_type(static_cast<DataType>(type))) continue;
    for (unsigned op = 0; op < red_op_count; ++op)
      expect_reduced(static_cast<DataType>(type), static_cast<RedOp>(op), 100, op % 2 == 0);
  }
}

TEST_F(Hierarchical, AskAcrossHostsForAShardOfWhatIsWanted) {
  make(2, 3);
  on_all([&](Rank& rank) {
    std::byte* const buffer = input(rank, DataType::float32, 11);
    ReduceRequest wanted = request(DataType::float32, RedOp::avg, 11, buffer, buffer);
    wanted.quantization = {QuantizationAlgorithm::min_max, Code::uint8};
    ASSERT_TRUE(launch(rank, {}, wanted).ok());
    EXPECT_TRUE(rank.reducer->in_flight(5));
    // The shard is complete by now: nothing has to be waited for before it is sent.
    for (const ReduceRequest& shard : groups[rank.local]->of(5)) {
      EXPECT_EQ(shard.count, 4);
      EXPECT_EQ(shard.quantization, wanted.quantization);
      EXPECT_EQ(shard.on_gpu.location.place, device::Place::cuda);
      EXPECT_EQ(shard.on_gpu.location, device::location_of(shard.send));
      EXPECT_NE(shard.on_gpu.stream, nullptr);
      EXPECT_NE(shard.on_gpu.stream, rank.application);
    }
    ReduceInfo info;
    EXPECT_TRUE(rank.reducer->await(rank.across, 5, info).ok());
    EXPECT_FALSE(rank.reducer->in_flight(5));
    EXPECT_EQ(rank.reducer->await(rank.across, 5, info).status, Status::peer_lost);
  });
}

// The tail is filled up with one of its own elements: a stranger could widen a quantized block.
TEST_F(Hierarchical, FillsUpTheTailWithItsLastElement) {
  make(1, 4);
  on_all([&](Rank& rank) {
    std::byte* const buffer = input(rank, DataType::float32, 5);
    const ReduceRequest wanted = request(DataType::float32, RedOp::max, 5, buffer, buffer);
    ASSERT_TRUE(launch(rank, {}, wanted).ok());
    const auto shards = groups[rank.local]->of(5);
    ASSERT_EQ(shards.size(), 1);
    const auto all = expected(DataType::float32, RedOp::max, 5);
    EXPECT_EQ(std::memcmp(static_cast<const float*>(shards[0].send) + 1, all.data() + 16, 4), 0);
    ReduceInfo info;
    EXPECT_TRUE(rank.reducer->await(rank.across, 5, info).ok());
  });
}

TEST_F(Hierarchical, HasManyInFlight) {
  make(2, 2);
  constexpr std::uint64_t ops = 5;
  on_all([&](Rank& rank) {
    std::vector<std::byte*> buffers;
    for (std::uint64_t tag = 0; tag < ops; ++tag) {
      buffers.push_back(input(rank, DataType::int32, 100 + tag));
      const Outcome outcome =
          launch(rank, {},
                 request(DataType::int32, RedOp::sum, 100 + tag, buffers[tag], buffers[tag], tag));
      ASSERT_TRUE(outcome.ok()) << outcome.why;
    }
    for (const std::uint64_t tag : {3u, 0u, 4u, 1u, 2u}) {
      ReduceInfo info;
      ASSERT_TRUE(rank.reducer->await(rank.across, tag, info).ok());
      EXPECT_EQ(bytes_at(buffers[tag], DataType::int32, 100 + tag),
                expected(DataType::int32, RedOp::sum, 100 + tag));
    }
  });
}

TEST_F(Hierarchical, WaitsForTheStreamThatMakesTheInput) {
  make(2, 2);
  for (const auto& rank : ranks) cuda->hold(rank->application, rank->gpu);
  std::thread application([&] {
    cuda->await_who_waits();
    for (const auto& rank : ranks) cuda->let_go(rank->application, rank->gpu);
  });
  expect_reduced(DataType::float32, RedOp::sum, 1001, false);
  application.join();
}

TEST_F(Hierarchical, WorksWithCommunicatorsThatDoNotBlock) {
  make(2, 2);
  for (const auto& rank : ranks) nccl->do_not_block(rank->comm);
  expect_reduced(DataType::float32, RedOp::sum, 1001, true);
}

// ---- What fails across hosts ----

TEST_F(Hierarchical, ALostPeerOfOneGroupFailsAllRanksAndTheNextWorks) {
  make(2, 3);
  groups[1]->fails = {{Status::peer_lost, "peer 7 was lost"}};
  on_all([&](Rank& rank) {
    std::byte* const buffer = input(rank, DataType::float32, 10);
    ReduceInfo info{9, 9, 9};
    const Outcome outcome =
        reduce(rank, request(DataType::float32, RedOp::sum, 10, buffer, buffer), info);
    EXPECT_EQ(outcome.status, Status::peer_lost);
    EXPECT_EQ(outcome.why, rank.local == 1 ? "peer 7 was lost" : "on local rank 1 of this host");
    EXPECT_EQ(info.world_size, 9u);
    EXPECT_EQ(bytes_at(buffer, DataType::float32, 10), input_of(rank, DataType::float32, 10));
    cuda->release(buffer);
  });
  expect_reduced(DataType::float32, RedOp::sum, 10, true);
}

TEST_F(Hierarchical, TheWorstOfSeveralFailuresCountsForAll) {
  make(2, 3);
  groups[0]->fails = {{Status::too_few_peers, "local rank 0"}};
  groups[2]->fails = {{Status::peer_lost, "local rank 2"}};
  expect_failed(Status::too_few_peers, "local rank 0");
  expect_reduced(DataType::float32, RedOp::avg, 10, false);
}

TEST_F(Hierarchical, ARefusedLaunchIsToldByTheAwait) {
  make(2, 2);
  groups[1]->refuses = {Status::too_few_peers, "alone"};
  on_all([&](Rank& rank) {
    std::byte* const buffer = input(rank, DataType::float32, 10);
    EXPECT_TRUE(launch(rank, {}, request(DataType::float32, RedOp::sum, 10, buffer, buffer)).ok());
    EXPECT_FALSE(rank.has_left);
    ReduceInfo info;
    EXPECT_EQ(rank.reducer->await(rank.across, 5, info).status, Status::too_few_peers);
    EXPECT_EQ(bytes_at(buffer, DataType::float32, 10), input_of(rank, DataType::float32, 10));
  });
  groups[1]->refuses = {};
  groups[0]->forget();
  expect_reduced(DataType::float32, RedOp::sum, 10, true);
}

// The other groups may count a launch that this rank's does not: they would be a launch apart.
TEST_F(Hierarchical, WhoseLaunchIsRefusedWhereOthersMayNotBeLeavesTheRun) {
  for (const Status refused : {Status::internal, Status::invalid_usage, Status::invalid_argument}) {
    make(1, 2);
    groups[1]->refuses = {refused, "no thread"};
    on_all([&](Rank& rank) {
      std::byte* const buffer = input(rank, DataType::float32, 10);
      ReduceInfo info;
      const ReduceRequest wanted = request(DataType::float32, RedOp::sum, 10, buffer, buffer);
      EXPECT_EQ(reduce(rank, wanted, info).status, refused);
      EXPECT_EQ(rank.has_left, rank.local == 1);
    });
  }
}

TEST_F(Hierarchical, GroupsThatDifferInSizeAreNoResult) {
  make(2, 2);
  groups[0]->world_size = 3;
  expect_failed(Status::peer_lost, "different members");
  groups[0]->world_size = 0;
  expect_reduced(DataType::float32, RedOp::sum, 10, true);
}

// NCCL fails in the all-gather: the error is no success, and the next call says what to do.
TEST_F(Hierarchical, AFailureOfTheLastStepIsSaid) {
  make(1, 2);
  nccl->fail_in_call(ranks[1]->comm, 3, FakeNccl::remote_error);
  on_all([&](Rank& rank) {
    std::byte* const buffer = input(rank, DataType::float32, 10);
    ReduceInfo info{9, 9, 9};
    const ReduceRequest wanted = request(DataType::float32, RedOp::sum, 10, buffer, buffer);
    const Outcome outcome = reduce(rank, wanted, info);
    EXPECT_EQ(outcome.status, rank.local == 1 ? Status::internal : Status::ok) << outcome.why;
    EXPECT_EQ(info.world_size, rank.local == 1 ? 9u : 1u);
    EXPECT_EQ(rank.has_left, rank.local == 1);
    if (rank.local == 1) {
      EXPECT_EQ(launch(rank, {}, wanted).status, Status::invalid_usage);
    }
  });
}

// ---- What is wrong inside the host ----

// Tensors of different ops would be mixed, and nobody could tell.
TEST_F(Hierarchical, RanksThatAwaitInDifferentOrdersAreToldSo) {
  make(2, 2);
  on_all([&](Rank& rank) {
    std::array<std::byte*, 2> buffers{};
    for (std::uint64_t tag = 0; tag < 2; ++tag) {
      buffers.at(tag) = input(rank, DataType::float32, 10);
      const ReduceRequest wanted =
          request(DataType::float32, RedOp::sum, 10, buffers.at(tag), buffers.at(tag), tag);
      ASSERT_TRUE(launch(rank, {}, wanted).ok());
    }
    const bool differs = rank.local == 1;
    for (const std::uint64_t tag : {differs ? 1u : 0u, differs ? 0u : 1u}) {
      ReduceInfo info;
      const Outcome outcome = rank.reducer->await(rank.across, tag, info);
      EXPECT_EQ(outcome.status, Status::invalid_usage);
      EXPECT_NE(outcome.why.find("in different orders"), std::string::npos) << outcome.why;
      EXPECT_EQ(bytes_at(buffers.at(tag), DataType::float32, 10),
                input_of(rank, DataType::float32, 10));
    }
  });
  expect_reduced(DataType::float32, RedOp::sum, 10, true);
}

TEST_F(Hierarchical, RanksOneOfWhichAwaitsWhileTheOtherLaunchesAreToldSo) {
  make(1, 2);
  on_all([&](Rank& rank) {
    std::byte* const buffer = input(rank, DataType::float32, 10);
    const auto wanted = [&](std::uint64_t tag) {
      return request(DataType::float32, RedOp::sum, 10, buffer, buffer, tag);
    };
    ASSERT_TRUE(launch(rank, {}, wanted(0)).ok());
    ReduceInfo info;
    const Outcome outcome =
        rank.local == 1 ? launch(rank, {}, wanted(1)) : rank.reducer->await(rank.across, 0, info);
    EXPECT_EQ(outcome.status, Status::invalid_usage);
    EXPECT_NE(outcome.why.find("in different orders"), std::string::npos) << outcome.why;
    EXPECT_EQ(bytes_at(buffer, DataType::float32, 10), input_of(rank, DataType::float32, 10));
  });
}

TEST_F(Hierarchical, RefusesWhatIsNotOnItsGpu) {
  make(1, 2);
  std::vector<float> host(10);
  const std::vector<std::byte*> there = {cuda->device_memory(40, 0), cuda->device_memory(40, 1)};
  std::byte* const managed = cuda->managed_memory(40);
  const auto expect = [&](const void* send, void* receive, DataType type,
                          const std::string& words) {
    on_all([&](Rank& rank) {
      ReduceInfo info;
      std::byte* const own = there[rank.local];
      const Outcome outcome = reduce(rank,
                                     request(type, RedOp::sum, 5, send != nullptr ? send : own,
                                             receive != nullptr ? receive : own),
                                     info);
      EXPECT_EQ(outcome.status, Status::invalid_argument);
      if (rank.local == 0) {
        EXPECT_NE(outcome.why.find(words), std::string::npos) << outcome.why;
      }
    });
  };
  expect(host.data(), nullptr, DataType::float32,
         "the send buffer is memory of the host; the local communicator's is GPU 0");
  expect(nullptr, host.data(), DataType::float32, "the receive buffer is memory of the host");
  expect(managed, nullptr, DataType::float32, "the send buffer is managed memory");
  expect(nullptr, there[1], DataType::float32, "the receive buffer is memory of GPU 1");
  expect(nullptr, nullptr, DataType::int16, "NCCL has no int16");
  expect(nullptr, nullptr, DataType::uint16, "NCCL has no uint16");
  expect_reduced(DataType::float32, RedOp::sum, 10, true);
}

// One rank alone sees what is wrong; all hear of it, and nobody waits in NCCL.
TEST_F(Hierarchical, WhatOneRankRefusesAllDo) {
  make(1, 3);
  on_all([&](Rank& rank) {
    std::byte* const buffer = input(rank, DataType::float32, 10);
    const Outcome checked =
        rank.local == 2 ? Outcome{Status::invalid_argument, "unknown datatype 99"} : Outcome{};
    const Outcome outcome =
        launch(rank, checked, request(DataType::float32, RedOp::sum, 10, buffer, buffer));
    EXPECT_EQ(outcome.status, Status::invalid_argument);
    EXPECT_EQ(outcome.why,
              rank.local == 2 ? "unknown datatype 99" : "on local rank 2 of this host");
  });
  expect_reduced(DataType::float32, RedOp::sum, 10, true);
}

TEST_F(Hierarchical, RanksThatAskForDifferentThingsAreToldSo) {
  make(1, 2);
  const auto expect_different = [&](const std::function<void(ReduceRequest&)>& change) {
    on_all([&](Rank& rank) {
      std::byte* const buffer = input(rank, DataType::float32, 10);
      ReduceRequest wanted = request(DataType::float32, RedOp::sum, 10, buffer, buffer);
      if (rank.local == 1) change(wanted);
      ReduceInfo info;
      const Outcome outcome = reduce(rank, wanted, info);
      EXPECT_EQ(outcome.status, Status::invalid_argument);
      EXPECT_NE(outcome.why.find("different all-reduces"), std::string::npos) << outcome.why;
    });
  };
  expect_different([](ReduceRequest& wanted) { wanted.count = 9; });
  expect_different([](ReduceRequest& wanted) { wanted.type = DataType::int32; });
  expect_different([](ReduceRequest& wanted) { wanted.op = RedOp::avg; });
  expect_different([](ReduceRequest& wanted) { wanted.tag = 6; });
  expect_different([](ReduceRequest& wanted) {
    wanted.quantization = {QuantizationAlgorithm::min_max, Code::uint8};
  });
  expect_reduced(DataType::float32, RedOp::sum, 10, true);
}

TEST_F(Hierarchical, ATagInFlightIsRefused) {
  make(1, 2);
  on_all([&](Rank& rank) {
    std::byte* const buffer = input(rank, DataType::float32, 10);
    const ReduceRequest wanted = request(DataType::float32, RedOp::sum, 10, buffer, buffer);
    EXPECT_TRUE(launch(rank, {}, wanted).ok());
    EXPECT_EQ(launch(rank, {}, wanted).status, Status::invalid_argument);
    ReduceInfo info;
    EXPECT_TRUE(rank.reducer->await(rank.across, 5, info).ok());
  });
}

TEST_F(Hierarchical, NoMemoryOnTheGpuIsAnAnswerOfAll) {
  make(1, 2);
  const std::vector<std::byte*> buffers = {cuda->device_memory(4 << 20, 0),
                                           cuda->device_memory(4 << 20, 1)};
  cuda->fail_allocations_after(1);  // one of the two gets some
  on_all([&](Rank& rank) {
    std::byte* const buffer = buffers[rank.local];
    ReduceInfo info;
    const Outcome outcome =
        reduce(rank, request(DataType::float32, RedOp::sum, 1 << 20, buffer, buffer), info);
    EXPECT_EQ(outcome.status, Status::internal);
  });
  cuda->fail_allocations_after(SIZE_MAX);
  expect_reduced(DataType::float32, RedOp::sum, 10, true);
}

// Nothing moves before the input is known to be waited for.
TEST_F(Hierarchical, AStreamThatCannotBeFollowedIsAnAnswerOfAll) {
  make(1, 2);
  cuda->fail_following(ranks[1]->application);
  on_all([&](Rank& rank) {
    std::byte* const buffer = input(rank, DataType::float32, 10);
    const Outcome outcome =
        launch(rank, {}, request(DataType::float32, RedOp::sum, 10, buffer, buffer));
    EXPECT_EQ(outcome.status, Status::internal);
    EXPECT_NE(outcome.why.find(rank.local == 1 ? "stream cannot be followed: invalid value"
                                               : "on local rank 1 of this host"),
              std::string::npos)
        << outcome.why;
    EXPECT_EQ(nccl->calls(rank.comm), 1u);
    EXPECT_TRUE(groups[rank.local]->of(5).empty());
    EXPECT_FALSE(rank.has_left);
  });
  cuda->fail_following(ranks[1]->application, false);
  expect_reduced(DataType::float32, RedOp::sum, 10, true);
}

TEST_F(Hierarchical, KernelsThatCannotBeLoadedAreAnAnswerOfAll) {
  make(1, 2);
  cuda->fail_loading(0);
  on_all([&](Rank& rank) {
    std::byte* const buffer = input(rank, DataType::float32, 10);
    const Outcome outcome =
        launch(rank, {}, request(DataType::float32, RedOp::avg, 10, buffer, buffer));
    EXPECT_EQ(outcome.status, Status::internal);
    EXPECT_FALSE(rank.has_left);
  });
  cuda->fail_loading(0, false);
  expect_reduced(DataType::float32, RedOp::avg, 10, true);
}

TEST_F(Hierarchical, LoadsItsKernelsBeforeAnythingMoves) {
  make(1, 2);
  on_all([&](Rank& rank) {
    std::byte* const buffer = input(rank, DataType::float32, 10);
    // Of the rank's first piece of work, which is to agree.
    nccl->when_called(rank.comm, 0, [&] {
      EXPECT_TRUE(cuda->is_loaded(rank.gpu, RedOp::avg, DataType::float32));  // divides
      EXPECT_TRUE(cuda->is_loaded(rank.gpu, RedOp::sum, DataType::float32));  // across hosts
    });
    ASSERT_TRUE(launch(rank, {}, request(DataType::float32, RedOp::avg, 10, buffer, buffer)).ok());
    ReduceInfo info;
    EXPECT_TRUE(rank.reducer->await(rank.across, 5, info).ok());
  });
}

// ---- What goes wrong in NCCL ----

TEST_F(Hierarchical, SaysWhatNcclSaysAndThenThatAnotherIsNeeded) {
  make(2, 1);
  nccl->refuse_next_call(ranks[0]->comm, FakeNccl::system_error);
  Rank& rank = *ranks[0];
  std::byte* const buffer = input(rank, DataType::float32, 10);
  const ReduceRequest wanted = request(DataType::float32, RedOp::sum, 10, buffer, buffer);
  Outcome outcome = launch(rank, {}, wanted);
  EXPECT_EQ(outcome.status, Status::internal);
  EXPECT_EQ(outcome.why, "ncclAllReduce: unhandled system error");
  EXPECT_TRUE(rank.has_left);  // the other ranks of the host are in this all-reduce
  outcome = launch(rank, {}, wanted);
  EXPECT_EQ(outcome.status, Status::invalid_usage);
  EXPECT_NE(
      outcome.why.find("since ncclAllReduce: unhandled system error: make a new communicator"),
      std::string::npos)
      << outcome.why;
  attach(rank);
  expect_reduced(DataType::float32, RedOp::sum, 10, true);
}

// It may not even come to other hosts, who could not tell.
TEST_F(Hierarchical, AShardThatNcclHasLeftHalfDoneIsNotSent) {
  make(1, 1);
  Rank& rank = *ranks[0];
  std::byte* const buffer = input(rank, DataType::float32, 10);
  const ReduceRequest wanted = request(DataType::float32, RedOp::sum, 10, buffer, buffer);
  nccl->fail_in_call(rank.comm, 1, FakeNccl::remote_error);  // after the agreement
  EXPECT_EQ(launch(rank, {}, wanted).status, Status::internal);
  EXPECT_TRUE(groups[0]->of(5).empty());
  EXPECT_TRUE(rank.has_left);
}

// One rank cannot put into the stream what the others put into theirs: it does not go on as if it
// had, and they do not wait for it for ever.
TEST_F(Hierarchical, WhoCannotGoOnCallsNcclNoMoreAndLeaves) {
  make(1, 2);
  ranks[0]->across.presence.in_run = [&] { return !ranks[1]->has_left; };
  cuda->fail_copy(1, 2);  // the first two are to agree
  on_all([&](Rank& rank) {
    std::byte* const buffer = input(rank, DataType::float32, 5);
    const Outcome outcome =
        launch(rank, {}, request(DataType::float32, RedOp::sum, 5, buffer, buffer));
    EXPECT_EQ(outcome.status, rank.local == 0 ? Status::removed : Status::internal) << outcome.why;
    EXPECT_TRUE(rank.has_left);
  });
  EXPECT_EQ(nccl->calls(ranks[1]->comm), 2u);  // to agree, and what needs no copy
}

// The others do not come any more, and NCCL says so at some time.
TEST_F(Hierarchical, AWaitEndsWhenNcclHasFailed) {
  make(1, 2);
  Rank& rank = *ranks[0];
  std::byte* const buffer = input(rank, DataType::float32, 10);
  std::thread breaks([&] {
    cuda->await_who_waits();
    nccl->break_down(rank.comm, FakeNccl::remote_error);
  });
  const Outcome outcome =
      launch(rank, {}, request(DataType::float32, RedOp::sum, 10, buffer, buffer));
  breaks.join();
  EXPECT_EQ(outcome.status, Status::internal);
  EXPECT_NE(outcome.why.find("remote process exited"), std::string::npos) << outcome.why;
  ranks.clear();  // ends, although NCCL hangs in the stream
}

TEST_F(Hierarchical, WhoIsOutOfTheRunDoesNotWaitForLong) {
  make(1, 2);
  Rank& rank = *ranks[0];
  rank.in_run = false;
  std::byte* const buffer = input(rank, DataType::float32, 10);
  const Outcome outcome =
      launch(rank, {}, request(DataType::float32, RedOp::sum, 10, buffer, buffer));
  EXPECT_EQ(outcome.status, Status::removed);
  EXPECT_NE(outcome.why.find("do not come"), std::string::npos) << outcome.why;
}

TEST_F(Hierarchical, TheApplicationMayInterruptAWait) {
  make(1, 2);
  Rank& rank = *ranks[0];
  std::byte* const buffer = input(rank, DataType::float32, 10);
  set_interrupt_check([] { return true; });
  const Outcome outcome =
      launch(rank, {}, request(DataType::float32, RedOp::sum, 10, buffer, buffer));
  set_interrupt_check(nullptr);
  EXPECT_EQ(outcome.status, Status::interrupted);
  EXPECT_TRUE(rank.has_left);
}

TEST_F(Hierarchical, ABrokenGpuEndsTheWait) {
  make(1, 2);
  Rank& rank = *ranks[0];
  std::byte* const buffer = input(rank, DataType::float32, 10);
  std::thread breaks([&] {
    cuda->await_who_waits();
    cuda->break_down();
  });
  const Outcome outcome =
      launch(rank, {}, request(DataType::float32, RedOp::sum, 10, buffer, buffer));
  breaks.join();
  EXPECT_EQ(outcome.status, Status::internal);
  EXPECT_NE(outcome.why.find("unspecified launch failure"), std::string::npos) << outcome.why;
}

}  // namespace
}  // namespace pccl::hierarchical
