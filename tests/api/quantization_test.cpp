// Quantized all-reduce through pccl.h: what may be asked for, and two peers that do it.
#include <gtest/gtest.h>
#include <pccl.h>

#include <array>
#include <cmath>
#include <limits>
#include <string>

#include "api/two_peers.hpp"

namespace {

using namespace pccl_test;

bool is_float_code(unsigned type) {
  return type == pcclFloat8E4M3 || type == pcclFloat8E5M2 || type == pcclFloat4E3M0;
}
bool is_code(unsigned type) {
  return type <= pcclInt64 || type >= pcclUint4;
}
bool is_signed(unsigned type) {
  return type == pcclInt8 || type == pcclInt16 || type == pcclInt32 || type == pcclInt64;
}

// The rule of pccl.h, said a second time.
bool allowed(unsigned source, unsigned op, unsigned algorithm, unsigned type) {
  if (algorithm == pcclQuantNone) return true;
  if (source < pcclFloat16 || !is_code(type)) return false;
  if (algorithm == pcclQuantScale) return is_float_code(type);
  if (type == pcclFloat8E4M3 || type == pcclFloat8E5M2) return false;
  if (algorithm == pcclQuantMinMax) return !is_signed(type);
  return op == pcclSum || op == pcclAvg;
}

class Quantization : public testing::Test {
 protected:
  static void SetUpTestSuite() { pcclInit(); }
  const std::uint16_t master_port = free_port();
};

TEST_F(Quantization, OfWhatToWhat) {
  const Master master(loopback(master_port));
  const Communicator comm(loopback(master_port));
  ASSERT_EQ(pcclConnect(comm), pcclSuccess) << comm.last_error();
  std::array<double, 1> buffer{};
  for (unsigned source = 0; source <= pcclDouble; ++source)
    for (unsigned op = 0; op <= pcclMin; ++op)
      for (unsigned algorithm = 0; algorithm <= pcclQuantScale; ++algorithm)
        for (unsigned type = 0; type <= pcclFloat8E5M2 + 1; ++type) {
          pcclReduceDescriptor_t descriptor =
              sum_to(any_value<pcclQuantizationAlgorithm_t>(algorithm),
                     any_value<pcclDataType_t>(type), 1);
          descriptor.op = any_value<pcclRedOp_t>(op);
          descriptor.src_descriptor.datatype = any_value<pcclDataType_t>(source);
          const bool known = algorithm == pcclQuantNone || type <= pcclFloat8E5M2;
          const pcclResult_t result =
              pcclAllReduce(buffer.data(), buffer.data(), &descriptor, comm, nullptr);
          EXPECT_EQ(result, known && allowed(source, op, algorithm, type) ? pcclTooFewPeers
                                                                          : pcclInvalidArgument)
              << source << " " << op << " " << algorithm << " to " << type;
        }
  const auto why = [&](pcclQuantizationAlgorithm_t algorithm, pcclDataType_t type) {
    const pcclReduceDescriptor_t descriptor = sum_to(algorithm, type, 1);
    pcclAllReduce(buffer.data(), buffer.data(), &descriptor, comm, nullptr);
    return comm.last_error();
  };
  EXPECT_NE(why(pcclQuantMinMax, pcclInt8).find("min-max quantization does not go to int8"),
            std::string::npos);
  EXPECT_NE(why(pcclQuantMinMax, pcclFloat).find("does not go to float32"), std::string::npos);
}

TEST_F(TwoPeers, TheSameBitsNearTheSumForAFractionOfTheBytes) {
  constexpr std::size_t count = 300'001;
  struct Case {
    pcclQuantizationAlgorithm_t algorithm;
    pcclDataType_t type;
    double bits, most_error;
  };
  for (const auto& [algorithm, type, bits, most_error] :
       {Case{pcclQuantMinMax, pcclUint8, 8, 0.02}, Case{pcclQuantZeroPointScale, pcclInt8, 8, 0.02},
        Case{pcclQuantMinMax, pcclUint16, 16, 0.0001}, Case{pcclQuantMinMax, pcclUint4, 4, 0.3},
        Case{pcclQuantMinMax, pcclUint2, 2, 1.4}, Case{pcclQuantScale, pcclFloat8E4M3, 8, 0.3}}) {
    fill(count);
    const pcclReduceDescriptor_t descriptor = sum_to(algorithm, type, count);
    for (const pcclResult_t result : reduce(descriptor, descriptor)) ASSERT_EQ(result, pcclSuccess);
    EXPECT_TRUE(same_bits());
    double largest = 0;
    for (std::size_t i = 0; i < count; ++i)
      largest = std::max(
          largest, std::fabs(static_cast<double>(outputs[0][i]) - inputs[0][i] - inputs[1][i]));
    EXPECT_LT(largest, most_error) << type;
    EXPECT_GT(largest, most_error / 1000) << type;
    for (const pcclReduceInfo_t& of : info) {
      EXPECT_NEAR(static_cast<double>(of.tx_bytes), count * (bits / 8 + 8.0 / 1024), count * 0.02);
      EXPECT_EQ(of.local_world_size, 2u);
    }
  }
}

TEST_F(TwoPeers, ANotANumberSpoilsItsBlockAndNoOther) {
  fill(100'000);
  inputs[1][50'000] = std::numeric_limits<float>::quiet_NaN();
  const pcclReduceDescriptor_t descriptor = sum_to(pcclQuantMinMax, pcclUint8, 100'000);
  for (const pcclResult_t result : reduce(descriptor, descriptor)) ASSERT_EQ(result, pcclSuccess);
  EXPECT_TRUE(same_bits());
  std::size_t spoilt = 0;
  for (const float value : outputs[0]) spoilt += std::isnan(value) ? 1 : 0;
  EXPECT_TRUE(std::isnan(outputs[0][50'000]));
  EXPECT_GE(spoilt, 1u);
  EXPECT_LE(spoilt, 1024u);
}

TEST_F(TwoPeers, TinyTensorsAreExact) {
  fill(1000);
  const pcclReduceDescriptor_t descriptor = sum_to(pcclQuantMinMax, pcclUint2, 1000);
  for (const pcclResult_t result : reduce(descriptor, descriptor)) ASSERT_EQ(result, pcclSuccess);
  for (std::size_t i = 0; i < 1000; ++i) EXPECT_EQ(outputs[0][i], inputs[0][i] + inputs[1][i]) << i;
}

TEST_F(TwoPeers, WhoQuantizeDifferentlyAreToldBothWays) {
  fill(100'000);
  const auto results = reduce(sum_to(pcclQuantMinMax, pcclUint8, 100'000),
                              sum_to(pcclQuantMinMax, pcclUint4, 100'000));
  for (const pcclResult_t result : results) EXPECT_EQ(result, pcclInvalidArgument);
  EXPECT_NE(one.last_error().find("min-max to uint8"), std::string::npos) << one.last_error();
  EXPECT_NE(one.last_error().find("min-max to uint4"), std::string::npos) << one.last_error();
}

}  // namespace
