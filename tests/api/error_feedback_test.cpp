// Error feedback through pccl.h: what it is good for, what it refuses, and that a failed op leaves
// it alone.
#include <gtest/gtest.h>
#include <pccl.h>

#include <array>
#include <chrono>
#include <cmath>
#include <string>
#include <thread>
#include <vector>

#include "api/two_peers.hpp"

namespace {

using namespace pccl_test;

class Feedback {
 public:
  explicit Feedback(std::size_t count) {
    EXPECT_EQ(pcclCreateErrorFeedback(count, &handle_), pcclSuccess);
  }
  ~Feedback() { destroy(); }
  Feedback(const Feedback&) = delete;
  Feedback& operator=(const Feedback&) = delete;
  void destroy() {
    if (handle_ == nullptr) return;
    EXPECT_EQ(pcclDestroyErrorFeedback(handle_), pcclSuccess);
    handle_ = nullptr;
  }
  operator pcclErrorFeedback_t*() const { return handle_; }  // NOLINT: reads like the handle it is

  std::vector<float> residual() const {
    float* data = nullptr;
    std::size_t count = 0;
    EXPECT_EQ(pcclErrorFeedbackData(handle_, &data, &count), pcclSuccess);
    return {data, data + count};
  }

 private:
  pcclErrorFeedback_t* handle_ = nullptr;
};

double size_of(const std::vector<double>& numbers) {
  double sum = 0;
  for (const double number : numbers) sum += number * number;
  return std::sqrt(sum);
}

class ErrorFeedback : public TwoPeers {
 protected:
  static constexpr std::size_t count = 50'000;

  // What so many results are off so many exact ones, all added up. As pseudo-gradients do, the
  // inputs go on in a direction, with noise.
  double drift(const pcclReduceDescriptor_t& descriptor, int rounds,
               std::array<pcclErrorFeedback_t*, 2> feedbacks) {
    const double share = descriptor.op == pcclAvg ? 0.5 : 1;
    std::vector<double> missing(count);
    for (int round = 0; round < rounds; ++round) {
      fill(count);
      for (std::size_t i = 0; i < count; ++i)
        inputs[0][i] += 0.001f * std::cos(static_cast<float>(i + static_cast<std::size_t>(round)));
      for (const pcclResult_t result : reduce(descriptor, descriptor, feedbacks))
        EXPECT_EQ(result, pcclSuccess) << one.last_error() << two.last_error();
      EXPECT_TRUE(same_bits());
      for (std::size_t i = 0; i < count; ++i)
        missing[i] += share * (static_cast<double>(inputs[0][i]) + inputs[1][i]) - outputs[0][i];
    }
    return size_of(missing);
  }
};

TEST_F(ErrorFeedback, LossesOfManyRoundsCancel) {
  for (const pcclRedOp_t op : {pcclSum, pcclAvg})
    for (const pcclDataType_t type : {pcclUint8, pcclUint2}) {
      pcclReduceDescriptor_t descriptor = sum_to(pcclQuantMinMax, type, count);
      descriptor.op = op;
      const Feedback of_one(count), of_two(count);
      const double without = drift(descriptor, 20, {});
      const double with = drift(descriptor, 20, {of_one, of_two});
      EXPECT_LT(with, without / 4) << "op " << op << " to " << type;
      std::printf("op %d to %d, 20 rounds: off by %.3g with feedback, %.3g without\n", op, type,
                  with, without);
      // What is missing is what both still owe.
      const std::vector<float> owed_by_one = of_one.residual(), owed_by_two = of_two.residual();
      std::vector<double> owed(count);
      for (std::size_t i = 0; i < count; ++i)
        owed[i] =
            (op == pcclAvg ? 0.5 : 1) * (static_cast<double>(owed_by_one[i]) + owed_by_two[i]);
      EXPECT_NEAR(size_of(owed), with, with / 100);
    }
}

TEST_F(ErrorFeedback, IsEachPeersOwnAffair) {
  const Feedback of_one(count);
  const pcclReduceDescriptor_t descriptor = sum_to(pcclQuantZeroPointScale, pcclInt8, count);
  drift(descriptor, 2, {of_one, nullptr});
  EXPECT_NE(of_one.residual(), std::vector<float>(count));
}

TEST_F(ErrorFeedback, ATinyTensorTravelsExactlyAndOwesNothing) {
  const Feedback of_one(100), of_two(100);
  fill(100);
  const pcclReduceDescriptor_t descriptor = sum_to(pcclQuantMinMax, pcclUint8, 100);
  for (const pcclResult_t result : reduce(descriptor, descriptor, {of_one, of_two}))
    EXPECT_EQ(result, pcclSuccess);
  EXPECT_EQ(of_one.residual(), std::vector<float>(100));
}

TEST_F(ErrorFeedback, IsForQuantizedSumsOfItsOwnLength) {
  const Feedback feedback(count);
  fill(count);
  const auto refused = [&](const pcclReduceDescriptor_t& descriptor,
                           pcclErrorFeedback_t* with) -> std::string {
    EXPECT_EQ(pcclAllReduceWithFeedback(inputs[0].data(), outputs[0].data(), &descriptor, with, one,
                                        nullptr),
              pcclInvalidArgument);
    return one.last_error();
  };
  pcclReduceDescriptor_t descriptor = sum_to(pcclQuantMinMax, pcclUint8, count - 1);
  EXPECT_NE(refused(descriptor, feedback).find("for 50000 elements, but count is 49999"),
            std::string::npos);
  descriptor.count = count;
  descriptor.op = pcclMax;
  EXPECT_NE(refused(descriptor, feedback).find("for sum and avg"), std::string::npos);
  descriptor = sum_to(pcclQuantNone, pcclUint8, count);
  EXPECT_NE(refused(descriptor, feedback).find("without quantization"), std::string::npos);
  descriptor = sum_to(pcclQuantMinMax, pcclUint8, count);
  int something = 0;
  EXPECT_NE(refused(descriptor, reinterpret_cast<pcclErrorFeedback_t*>(&something))
                .find("not an error feedback"),
            std::string::npos);

  // One op at a time, until it has been awaited.
  pcclAsyncReduceOp_t handle{};
  ASSERT_EQ(pcclAllReduceWithFeedbackAsync(inputs[0].data(), outputs[0].data(), &descriptor,
                                           feedback, one, &handle),
            pcclSuccess);
  pcclReduceDescriptor_t other = sum_to(pcclQuantMinMax, pcclUint8, count, 2);
  EXPECT_NE(refused(other, feedback).find("in use"), std::string::npos);
  float* residual = nullptr;
  EXPECT_EQ(pcclErrorFeedbackData(feedback, &residual, nullptr), pcclInvalidUsage);
  EXPECT_EQ(residual, nullptr);
  std::thread peer([&] {
    EXPECT_EQ(pcclAllReduce(inputs[1].data(), outputs[1].data(), &descriptor, two, nullptr),
              pcclSuccess);
  });
  EXPECT_EQ(pcclAwaitAsyncReduce(&handle, nullptr), pcclSuccess);
  peer.join();
  EXPECT_EQ(pcclErrorFeedbackData(feedback, &residual, nullptr), pcclSuccess);
  for (const pcclResult_t result : reduce(other, other, {feedback, nullptr}))
    EXPECT_EQ(result, pcclSuccess) << one.last_error();
}

TEST_F(ErrorFeedback, OfManyTensorsAtOnce) {
  constexpr std::size_t tensors = 3;
  std::array<std::vector<float>, 2> data;
  const Feedback first(count), third(count);
  std::array<pcclErrorFeedback_t*, tensors> feedbacks{first, nullptr, third};
  const auto all = [&](std::size_t peer, pcclErrorFeedback_t* const* with) {
    data[peer].assign(tensors * count, 0.3f + static_cast<float>(peer));
    for (std::size_t i = 0; i < data[peer].size(); ++i) data[peer][i] *= std::sin(float(i));
    std::array<pcclReduceOpDescriptor_t, tensors> ops{};
    for (std::size_t i = 0; i < tensors; ++i) {
      float* const at = data[peer].data() + i * count;
      ops[i] = {at, at, sum_to(pcclQuantMinMax, pcclUint4, count, i)};
    }
    return pcclAllReduceMultipleWithFeedback(ops.data(), with, tensors, peer == 0 ? one : two,
                                             nullptr, 2);
  };
  feedbacks[1] = first;  // twice
  EXPECT_EQ(all(0, feedbacks.data()), pcclInvalidArgument);
  feedbacks[1] = nullptr;
  std::thread other([&] { EXPECT_EQ(all(1, nullptr), pcclSuccess) << two.last_error(); });
  EXPECT_EQ(all(0, feedbacks.data()), pcclSuccess) << one.last_error();
  other.join();
  EXPECT_EQ(data[0], data[1]);
  EXPECT_NE(first.residual(), std::vector<float>(count));
  EXPECT_NE(third.residual(), std::vector<float>(count));
}

// Segments of this size leave, and change their residuals, before the other peer has launched the
// op; it never does, and leaves.
TEST_F(ErrorFeedback, AFailedOpLeavesItAsItWas) {
  constexpr std::size_t eager = 100'000;
  const Feedback feedback(eager);
  float* data = nullptr;
  ASSERT_EQ(pcclErrorFeedbackData(feedback, &data, nullptr), pcclSuccess);
  for (std::size_t i = 0; i < eager; ++i) data[i] = std::sin(static_cast<float>(i)) / 100;
  const std::vector<float> before = feedback.residual();
  fill(eager);
  const std::vector<float> input = inputs[0];
  const pcclReduceDescriptor_t descriptor = sum_to(pcclQuantMinMax, pcclUint8, eager);
  pcclAsyncReduceOp_t handle{};
  ASSERT_EQ(pcclAllReduceWithFeedbackAsync(inputs[0].data(), inputs[0].data(), &descriptor,
                                           feedback, one, &handle),
            pcclSuccess);
  two.destroy();
  EXPECT_EQ(pcclAwaitAsyncReduce(&handle, nullptr), pcclRankConnectionLost);
  EXPECT_EQ(inputs[0], input);
  EXPECT_EQ(feedback.residual(), before);
}

TEST_F(ErrorFeedback, HandlesAreChecked) {
  EXPECT_EQ(pcclCreateErrorFeedback(1, nullptr), pcclInvalidArgument);
  pcclErrorFeedback_t* feedback = nullptr;
  EXPECT_EQ(pcclCreateErrorFeedback(SIZE_MAX, &feedback), pcclInvalidArgument);
  EXPECT_EQ(pcclDestroyErrorFeedback(nullptr), pcclInvalidArgument);
  ASSERT_EQ(pcclCreateErrorFeedback(0, &feedback), pcclSuccess);
  EXPECT_EQ(pcclErrorFeedbackData(feedback, nullptr, nullptr), pcclInvalidArgument);
  EXPECT_EQ(pcclDestroyErrorFeedback(feedback), pcclSuccess);
  EXPECT_EQ(pcclDestroyErrorFeedback(feedback), pcclInvalidArgument);
}

// Freed while an op with it runs: its memory stays until the await.
TEST_F(ErrorFeedback, MayBeDestroyedBeforeTheAwait) {
  fill(count);
  Feedback feedback(count);
  const pcclReduceDescriptor_t descriptor = sum_to(pcclQuantMinMax, pcclUint8, count);
  pcclAsyncReduceOp_t handle{};
  ASSERT_EQ(pcclAllReduceWithFeedbackAsync(inputs[0].data(), outputs[0].data(), &descriptor,
                                           feedback, one, &handle),
            pcclSuccess);
  feedback.destroy();
  std::thread peer([&] {
    EXPECT_EQ(pcclAllReduce(inputs[1].data(), outputs[1].data(), &descriptor, two, nullptr),
              pcclSuccess);
  });
  EXPECT_EQ(pcclAwaitAsyncReduce(&handle, nullptr), pcclSuccess);
  peer.join();
  EXPECT_TRUE(same_bits());
}

}  // namespace
