// What lies on GPUs has the digests that it has on the host, and its bytes stay where they are.
#include "shared_state/device_digests.hpp"

#include <gtest/gtest.h>

#include "device/host_memory.hpp"
#include "shared_state/on_gpus.hpp"

namespace pccl::shared_state {
namespace {

using pccl_test::FakeRuntime;
using pccl_test::InstalledRuntime;
using test::State;
using test::Views;

constexpr std::uint32_t block_bytes = 4096;

test::Tensors tensors_of(const std::vector<std::uint64_t>& sizes) {
  Rng rng(1);
  return test::random_tensors(sizes, rng);
}

void expect_same(const State& state, const Views& elsewhere, unsigned threads = 1) {
  const StateDigest digest = digest_state(elsewhere, state.map, threads);
  EXPECT_EQ(digest.content, state.digest.content);
  EXPECT_EQ(digest.blocks, state.digest.blocks);
}

std::string error_of(const std::function<void()>& work) {
  try {
    work();
  } catch (const device::Error& error) {
    return error.what();
  }
  return {};
}

// Each size alone, and all of them; where they are aligned, and where not.
TEST(DeviceDigests, OfAnySizeAndAlignment) {
  InstalledRuntime cuda;
  const std::vector<std::uint64_t> sizes{0,
                                         1,
                                         2 * block_bytes,
                                         7,
                                         8,
                                         239,
                                         240,
                                         241,
                                         242,
                                         255,
                                         256,
                                         1023,
                                         1024,
                                         1025,
                                         block_bytes,
                                         9,
                                         block_bytes - 1,
                                         3,
                                         3,
                                         3,
                                         block_bytes + 1,
                                         2,
                                         9,
                                         8193 + 240,
                                         8433,
                                         8432,
                                         8434,
                                         10 * block_bytes + 5};
  for (const std::size_t offset : {0, 1, 4, 8, 15}) {
    SCOPED_TRACE(offset);
    const State all(tensors_of(sizes), block_bytes);
    Views there = all.views;
    for (TensorView& tensor : there) tensor = test::on_gpu(*cuda, tensor, 0, offset);
    expect_same(all, there);
    for (const std::uint64_t bytes : sizes) {
      const State one(tensors_of({bytes}), block_bytes);
      expect_same(one, {test::on_gpu(*cuda, one.views[0], 0, offset)});
    }
  }
}

TEST(DeviceDigests, OfTensorsHereAndThere) {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE(seed);
    Rng rng(seed);
    InstalledRuntime cuda(FakeRuntime::Worker::nobody, seed);
    const State state(test::random_tensors(test::mixed_sizes(60, block_bytes, rng), rng),
                      block_bytes);
    const double parts[] = {0.1, 0.5, 1};
    expect_same(state, test::some_on_gpus(*cuda, state.views, parts[rng.below(3)], rng),
                1 + static_cast<unsigned>(rng.below(3)));
  }
}

TEST(DeviceDigests, AreAllThatCrosses) {
  InstalledRuntime cuda;
  const State state(tensors_of({20 * block_bytes}), block_bytes);
  expect_same(state, test::all_on_gpu(*cuda, state.views));
  EXPECT_EQ(cuda->traffic().from_device, 20 * 16U);
  EXPECT_EQ(cuda->traffic().to_device, 20 * 16U + 192) << "jobs and the secret";
}

TEST(DeviceDigests, OfWhatNoGpuCanReadInPlace) {
  InstalledRuntime cuda;
  const State state(tensors_of({5 * block_bytes, 200, 100, 50}), block_bytes);
  expect_same(state, {test::on_gpu(*cuda, state.views[0], 0, 4), state.views[1],
                      test::on_gpu(*cuda, state.views[2]), state.views[3]});
  EXPECT_EQ(cuda->traffic().from_device, 5 * block_bytes + 100U);
  EXPECT_EQ(cuda->traffic().to_device, 0U);
  device::unpin_what_is_kept();
  EXPECT_EQ(cuda->live_pinned_bytes(), 0U) << "given back";
}

TEST(DeviceDigests, NeedNoPinnedMemory) {
  InstalledRuntime cuda;
  const State state(tensors_of({5 * block_bytes}), block_bytes);
  const Views there{test::on_gpu(*cuda, state.views[0], 0, 1)};
  cuda->fail_pinning();
  expect_same(state, there);
  EXPECT_EQ(cuda->live_pinned_bytes(), 0U);
}

TEST(DeviceDigests, SayWhenTheGpuHasNoMemory) {
  InstalledRuntime cuda;
  const State state(tensors_of({5 * block_bytes}), block_bytes);
  const Views there = test::all_on_gpu(*cuda, state.views);
  cuda->fail_allocations_after(0);
  EXPECT_EQ(error_of([&] { digest_state(there, state.map, 1); }),
            "GPU 0: no 262144 bytes of its memory: out of memory");
}

TEST(DeviceDigests, SayWhenTheGpuBreaks) {
  for (const std::size_t offset : {0, 1}) {
    InstalledRuntime cuda(FakeRuntime::Worker::nobody);
    const State state(tensors_of({5 * block_bytes}), block_bytes);
    const Views there{test::on_gpu(*cuda, state.views[0], 0, offset)};
    DeviceDigests digests(there, state.map);
    cuda->break_down();
    std::vector<Digest> blocks(state.map.blocks());
    EXPECT_NE(error_of([&] { digests.finish(blocks); }).find("unspecified launch failure"),
              std::string::npos);
    EXPECT_NE(error_of([&] { digest_state(there, state.map, 1); }).find("GPU 0: "),
              std::string::npos);
  }
}

}  // namespace
}  // namespace pccl::shared_state
