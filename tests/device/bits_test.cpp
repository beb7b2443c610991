// Does a group of CPU and GPU peers get the bits that CPU peers get among themselves? Every type,
// operation and quantization, small and large, for any bits: NaN, infinities and denormals too. On
// a stand-in for CUDA one case in some, and all of them where there is a GPU.
#include <gtest/gtest.h>
#include <pccl.h>

#include <array>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "api/local_run.hpp"
#include "base/rng.hpp"
#include "gpu_memory.hpp"

namespace pccl_test {
namespace {

constexpr std::size_t world = 3;

struct Type {
  pcclDataType_t type;
  std::size_t bytes;
  bool floating;
};
constexpr Type types[] = {{pcclUint8, 1, false},   {pcclInt8, 1, false},   {pcclUint16, 2, false},
                          {pcclInt16, 2, false},   {pcclUint32, 4, false}, {pcclInt32, 4, false},
                          {pcclUint64, 8, false},  {pcclInt64, 8, false},  {pcclFloat16, 2, true},
                          {pcclBFloat16, 2, true}, {pcclFloat, 4, true},   {pcclDouble, 8, true}};

std::vector<pcclQuantizationOptions_t> quantizations() {
  std::vector<pcclQuantizationOptions_t> all;
  for (const pcclDataType_t code :
       {pcclUint8, pcclUint16, pcclUint32, pcclUint64, pcclUint4, pcclUint2})
    for (const auto algorithm : {pcclQuantMinMax, pcclQuantZeroPointScale})
      all.push_back({code, algorithm});
  for (const pcclDataType_t code : {pcclInt8, pcclInt16, pcclInt32, pcclInt64})
    all.push_back({code, pcclQuantZeroPointScale});
  for (const auto code : {pcclFloat8E4M3, pcclFloat8E5M2, pcclFloat4E3M0})
    all.push_back({code, pcclQuantScale});
  return all;
}

struct Case {
  Type type{};
  pcclRedOp_t op = pcclSum;
  std::size_t count = 0;
  bool in_place = false;
  pcclQuantizationOptions_t quantization{pcclUint8, pcclQuantNone};

  std::string text() const {
    return "type " + std::to_string(type.type) + ", op " + std::to_string(op) + ", count " +
           std::to_string(count) + (in_place ? ", in place" : "") + ", quantization " +
           std::to_string(quantization.algorithm) + " to " +
           std::to_string(quantization.quantized_datatype);
  }
};

bool may_quantize(const pcclQuantizationOptions_t& quantization, pcclRedOp_t op) {
  return quantization.algorithm != pcclQuantZeroPointScale || op == pcclSum || op == pcclAvg;
}

class Bits : public testing::Test {
 protected:
  static void SetUpTestSuite() { pcclInit(); }

  // Of every `one_in`-th case.
  void compare(std::size_t one_in) {
    connect();
    std::size_t number = 0, compared = 0, differing = 0;
    const auto run = [&](const Case& what) {
      if (number++ % one_in != 0 || HasFatalFailure()) return;
      ++compared;
      const auto inputs = inputs_of(what, number);
      const auto expected = reduce(what, inputs, nullptr);
      const auto mixed = reduce(what, inputs, gpu.get());
      for (std::size_t peer = 0; peer < world; ++peer) {
        if (mixed[peer] == expected[0]) continue;
        ++differing;
        if (differing < 10) ADD_FAILURE() << what.text() << ": peer " << peer << " differs";
      }
    };
    for (const Type& type : types)
      for (const auto op : {pcclSum, pcclAvg, pcclProd, pcclMax, pcclMin})
        for (const std::size_t count : {1, 2, 7, 64, 1000, 4096, 12'345, 70'001, 131'072, 300'007})
          for (const bool in_place : {false, true})
            run({.type = type, .op = op, .count = count, .in_place = in_place});
    for (const Type& type : types)
      for (const auto& quantization : quantizations())
        for (const auto op : {pcclSum, pcclAvg, pcclProd, pcclMax, pcclMin})
          for (const std::size_t count :
               {9'000, 12'345, 33'333, 50'001, 65'536, 70'007, 100'003, 130'001})
            for (const bool in_place : {false, true})
              if (type.floating && may_quantize(quantization, op))
                run({.type = type,
                     .op = op,
                     .count = count,
                     .in_place = in_place,
                     .quantization = quantization});
    std::printf("%zu of %zu cases, %zu differ\n", compared, number, differing);
    EXPECT_EQ(differing, 0u);
  }

  std::unique_ptr<GpuMemory> gpu;  // outlives the communicators

 private:
  using Bytes = std::vector<std::byte>;

  static void each(std::size_t count, const std::function<void(std::size_t)>& f) {
    std::vector<std::thread> threads;
    for (std::size_t peer = 0; peer < count; ++peer) threads.emplace_back(f, peer);
    for (std::thread& thread : threads) thread.join();
  }

  void connect() {
    for (std::size_t admitted = 0; admitted < world; ++admitted) {
      std::thread joining([&] { EXPECT_EQ(pcclConnect(comms_[admitted]), pcclSuccess); });
      each(admitted, [&](std::size_t peer) {
        for (bool pending = false; !pending;)
          EXPECT_EQ(pcclArePeersPending(comms_[peer], &pending), pcclSuccess);
        EXPECT_EQ(pcclUpdateTopology(comms_[peer]), pcclSuccess);
      });
      joining.join();
    }
  }

  // Random bits, which are any number; in every fourth case numbers of one size and a few special
  // ones, since a NaN spoils its whole block.
  static std::array<Bytes, world> inputs_of(const Case& what, std::size_t number) {
    std::array<Bytes, world> inputs;
    for (std::size_t peer = 0; peer < world; ++peer) {
      pccl::Rng rng(number * world + peer);
      Bytes& bytes = inputs[peer];
      bytes.resize(what.count * what.type.bytes);
      const bool tame = what.type.floating && number % 4 != 0;
      for (std::size_t i = 0; i < what.count; ++i) {
        std::uint64_t bits = rng.next();
        if (tame && !rng.chance(0.0001)) bits = tame_bits(what.type, bits);
        std::memcpy(bytes.data() + i * what.type.bytes, &bits, what.type.bytes);
      }
    }
    return inputs;
  }

  // Between 1/2 and 2, of either sign.
  static std::uint64_t tame_bits(const Type& type, std::uint64_t bits) {
    switch (type.type) {
      case pcclFloat16:
        return (bits & 0x87ff) | 0x3800;
      case pcclBFloat16:
        return (bits & 0x80ff) | 0x3f00;
      case pcclFloat:
        return (bits & 0x80ff'ffff) | 0x3f00'0000;
      default:
        return (bits & 0x801f'ffff'ffff'ffff) | 0x3fe0'0000'0000'0000;
    }
  }

  // What each peer gets; on a GPU where `memory` is given, but for the second peer.
  std::array<Bytes, world> reduce(const Case& what, const std::array<Bytes, world>& inputs,
                                  GpuMemory* memory) {
    std::array<Bytes, world> results;
    pcclReduceDescriptor_t descriptor = sum_of_floats(what.count);
    descriptor.op = what.op;
    descriptor.src_descriptor.datatype = what.type.type;
    descriptor.quantization_options = what.quantization;
    each(world, [&](std::size_t peer) {
      const std::size_t bytes = inputs[peer].size();
      results[peer] = inputs[peer];
      Bytes output(bytes);
      const auto all_reduce = [&](const void* send, void* receive) {
        EXPECT_EQ(pcclAllReduce(send, receive, &descriptor, comms_[peer], nullptr), pcclSuccess)
            << what.text() << ": " << comms_[peer].last_error();
      };
      if (memory == nullptr || peer == 1) {
        all_reduce(results[peer].data(), what.in_place ? results[peer].data() : output.data());
        if (!what.in_place) results[peer] = output;
        return;
      }
      std::byte* const send = memory->allocate(bytes);
      std::byte* const receive = what.in_place ? send : memory->allocate(bytes);
      memory->copy(send, inputs[peer].data(), bytes);
      all_reduce(send, receive);
      memory->copy(results[peer].data(), receive, bytes);
      memory->release(send);
      if (receive != send) memory->release(receive);
    });
    return results;
  }

  const std::uint16_t port_ = free_port();
  Master master_{loopback(port_)};
  std::array<Communicator, world> comms_{
      Communicator{loopback(port_)}, Communicator{loopback(port_)}, Communicator{loopback(port_)}};
};

TEST_F(Bits, OnAStandInAreThoseOfTheHost) {
  gpu = stand_in_gpu();
  compare(17);
}

TEST_F(Bits, OnAGpuAreThoseOfTheHost) {
  std::string why;
  gpu = real_gpu(why);
  if (gpu == nullptr) GTEST_SKIP() << why;
  compare(1);
}

}  // namespace
}  // namespace pccl_test
