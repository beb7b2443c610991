// Rings of bytes between two ends, in one process: what goes in comes out, and what the other side
// writes into the memory is believed as little as what comes over a socket.
#include "net/shared_memory.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <span>
#include <thread>
#include <vector>

#include "base/rng.hpp"

namespace pccl::net {
namespace {

using Bytes = std::vector<std::byte>;

Bytes counted(std::size_t count, std::size_t from = 0) {
  Bytes bytes(count);
  for (std::size_t i = 0; i < count; ++i)
    bytes[i] = static_cast<std::byte>((from + i) * 0x9e3779b97f4a7c15ULL >> 56);
  return bytes;
}

struct Ends {
  Ends() {
    auto fresh = SharedMemory::create();
    here.emplace(std::move(fresh.value().first));
    there.emplace(SharedMemory::open(fresh->second).value());
    descriptor = std::move(fresh->second);
  }
  std::optional<SharedMemory> here, there;
  FileDescriptor descriptor;
};

TEST(SharedRing, WhatGoesInComesOutInBothDirections) {
  Ends ends;
  Rng random(7);
  for (const bool forth : {true, false}) {
    ByteRing& in = forth ? ends.here->outgoing() : ends.there->outgoing();
    ByteRing& out = forth ? ends.there->incoming() : ends.here->incoming();
    std::size_t written = 0, read = 0;
    while (read < std::size_t{8} << 20) {
      const Bytes first = counted(random.below(400'000), written);
      const Bytes second = counted(random.below(100), written + first.size());
      written += in.write(first, second).value();
      Bytes head(random.below(400'000)), tail(random.below(100));
      const std::size_t got = out.read(head, tail).value();
      head.insert(head.end(), tail.begin(), tail.end());
      head.resize(got);
      ASSERT_TRUE(head == counted(got, read)) << "after " << read;
      read += got;
      ASSERT_EQ(out.has_bytes(), written != read);
    }
  }
}

TEST(SharedRing, TakesWhatFitsAndSaysWhenThereIsRoomAgain) {
  Ends ends;
  const Bytes much = counted(std::size_t{3} << 20);
  const std::size_t capacity = ends.here->outgoing().write(much, {}).value();
  EXPECT_GT(capacity, std::size_t{256} << 10);
  EXPECT_LT(capacity, much.size());
  EXPECT_FALSE(ends.here->outgoing().has_room());
  EXPECT_EQ(ends.here->outgoing().write(much, {}), 0u);
  Bytes one(1);
  EXPECT_EQ(ends.there->incoming().read(one, {}), 1u);
  EXPECT_TRUE(ends.here->outgoing().has_room());
  EXPECT_EQ(ends.here->outgoing().write(much, {}), 1u);
}

TEST(SharedRing, ShowsWhatHasComeWhereItLies) {
  Ends ends;
  ByteRing& in = ends.here->outgoing();
  ByteRing& out = ends.there->incoming();
  EXPECT_TRUE(out.peek().value().empty());
  const Bytes sent = counted(1000);
  in.write(sent, {});
  const auto here = out.peek().value();
  EXPECT_TRUE(std::ranges::equal(here, sent));
  out.skip(300);
  EXPECT_TRUE(std::ranges::equal(out.peek().value(), std::span(sent).subspan(300)));
  out.skip(700);
  EXPECT_TRUE(out.peek().value().empty());

  // Around the end in two pieces.
  const Bytes much = counted(std::size_t{3} << 20);
  const std::size_t capacity = in.write(much, {}).value();
  const std::size_t to_end = out.peek().value().size();
  EXPECT_EQ(to_end, capacity - 1000);
  EXPECT_TRUE(std::ranges::equal(out.peek().value(), std::span(much).first(to_end)));
  out.skip(to_end);
  EXPECT_TRUE(std::ranges::equal(out.peek().value(), std::span(much).subspan(to_end, 1000)));
}

TEST(SharedRing, WakesAnEndThatWaitsOnceEachTime) {
  Ends ends;
  ByteRing& in = ends.here->outgoing();
  ByteRing& out = ends.there->incoming();
  EXPECT_FALSE(in.reader_waits());
  EXPECT_FALSE(out.wait_for_bytes());
  EXPECT_TRUE(in.reader_waits());
  EXPECT_FALSE(in.reader_waits());
  EXPECT_FALSE(out.writer_waits());
  EXPECT_TRUE(in.wait_for_room()) << "no need to";
  EXPECT_TRUE(out.writer_waits());
  EXPECT_FALSE(out.writer_waits());
}

TEST(SharedRing, PositionsThatCannotBeEndIt) {
  Ends ends;
  // The positions lie at the beginning of each direction's page, 64 bytes apart.
  void* const mapping =
      ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, ends.descriptor.get(), 0);
  ASSERT_NE(mapping, MAP_FAILED);
  for (const std::uint64_t lie : {std::uint64_t{3} << 20, std::uint64_t{1} << 63}) {
    std::memcpy(mapping, &lie, sizeof lie);
    Bytes into(100);
    EXPECT_EQ(ends.there->incoming().read(into, {}), std::nullopt) << lie;
    EXPECT_FALSE(ends.there->incoming().peek().has_value()) << lie;
    EXPECT_TRUE(ends.there->incoming().has_bytes()) << "so that somebody looks";
    std::memcpy(static_cast<std::byte*>(mapping) + 64, &lie, sizeof lie);
    EXPECT_EQ(ends.here->outgoing().write(into, {}), std::nullopt) << lie;
    EXPECT_TRUE(ends.here->outgoing().has_room());
  }
  ::munmap(mapping, 4096);
}

TEST(SharedMemoryOfTheOtherSide, IsRefusedUnlessItCannotShrink) {
  const auto made = [](off_t size, int seals) {
    FileDescriptor memory(::memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    EXPECT_EQ(::ftruncate(memory.get(), size), 0);
    EXPECT_EQ(::fcntl(memory.get(), F_ADD_SEALS, seals), 0);
    return memory;
  };
  const auto fresh = SharedMemory::create();
  ASSERT_TRUE(fresh);
  const off_t size = ::lseek(fresh->second.get(), 0, SEEK_END);
  EXPECT_TRUE(SharedMemory::open(made(size, F_SEAL_SHRINK)));
  EXPECT_FALSE(SharedMemory::open(made(size, F_SEAL_GROW)));
  EXPECT_FALSE(SharedMemory::open(made(size - 4096, F_SEAL_SHRINK)));
  EXPECT_FALSE(SharedMemory::open(made(size + 4096, F_SEAL_SHRINK)));
  EXPECT_FALSE(SharedMemory::open(FileDescriptor(::open("/dev/zero", O_RDWR | O_CLOEXEC))));
  EXPECT_FALSE(SharedMemory::open(FileDescriptor(::socket(AF_UNIX, SOCK_STREAM, 0))));
  EXPECT_FALSE(SharedMemory::open(FileDescriptor()));
}

TEST(SharedRing, TwoThreadsThatWaitForEachOther) {
  Ends ends;
  constexpr std::size_t total = std::size_t{64} << 20;
  std::thread writer([&] {
    Rng random(1);
    for (std::size_t written = 0; written < total;) {
      const Bytes next = counted(std::min(total - written, random.below(300'000) + 1), written);
      for (std::size_t at = 0; at < next.size();) {
        at += ends.here->outgoing().write(std::span(next).subspan(at), {}).value();
        if (at < next.size()) std::this_thread::yield();
      }
      written += next.size();
    }
  });
  Rng random(2);
  std::size_t read = 0;
  while (read < total) {
    Bytes into(random.below(300'000) + 1);
    const std::size_t got = ends.there->incoming().read(into, {}).value();
    if (got == 0) std::this_thread::yield();
    into.resize(got);
    ASSERT_TRUE(into == counted(got, read));
    read += got;
  }
  writer.join();
}

}  // namespace
}  // namespace pccl::net
