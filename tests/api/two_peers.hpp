// Two communicators of one run in this process, and quantized sums between them.
#pragma once

#include <gtest/gtest.h>
#include <pccl.h>

#include <array>
#include <cmath>
#include <cstring>
#include <thread>
#include <vector>

#include "api/local_run.hpp"

namespace pccl_test {

inline pcclReduceDescriptor_t sum_to(pcclQuantizationAlgorithm_t algorithm, pcclDataType_t type,
                                     std::size_t count, std::uint64_t tag = 1) {
  pcclReduceDescriptor_t descriptor{};
  descriptor.count = count;
  descriptor.op = pcclSum;
  descriptor.tag = tag;
  descriptor.src_descriptor.datatype = pcclFloat;
  descriptor.quantization_options = {type, algorithm};
  return descriptor;
}

// Two communicators of one run, each with a thread of its own where both have to act.
class TwoPeers : public testing::Test {
 protected:
  TwoPeers() {
    EXPECT_EQ(pcclConnect(one), pcclSuccess) << one.last_error();
    std::thread newcomer([this] { EXPECT_EQ(pcclConnect(two), pcclSuccess) << two.last_error(); });
    for (bool pending = false; !pending;)
      EXPECT_EQ(pcclArePeersPending(one, &pending), pcclSuccess);
    EXPECT_EQ(pcclUpdateTopology(one), pcclSuccess);
    newcomer.join();
  }
  static void SetUpTestSuite() { pcclInit(); }

  // Both launch and await; `feedbacks` as they may be given.
  std::array<pcclResult_t, 2> reduce(const pcclReduceDescriptor_t& of_one,
                                     const pcclReduceDescriptor_t& of_two,
                                     std::array<pcclErrorFeedback_t*, 2> feedbacks = {}) {
    std::array<pcclResult_t, 2> results{};
    std::thread other([&] {
      results[1] = pcclAllReduceWithFeedback(inputs[1].data(), outputs[1].data(), &of_two,
                                             feedbacks[1], two, &info[1]);
    });
    results[0] = pcclAllReduceWithFeedback(inputs[0].data(), outputs[0].data(), &of_one,
                                           feedbacks[0], one, &info[0]);
    other.join();
    return results;
  }
  void fill(std::size_t count) {
    for (std::size_t peer = 0; peer < 2; ++peer) {
      inputs[peer].resize(count);
      outputs[peer].assign(count, 0.0f);
      for (std::size_t i = 0; i < count; ++i)
        inputs[peer][i] = std::sin(static_cast<float>(i * (peer + 3)));
    }
  }
  bool same_bits() const {
    return std::memcmp(outputs[0].data(), outputs[1].data(), outputs[0].size() * 4) == 0;
  }

  const std::uint16_t master_port = free_port();
  Master master{loopback(master_port)};
  Communicator one{loopback(master_port)}, two{loopback(master_port)};
  std::array<std::vector<float>, 2> inputs, outputs;
  std::array<pcclReduceInfo_t, 2> info{};
};

}  // namespace pccl_test
