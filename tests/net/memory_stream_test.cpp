// A local connection whose bytes pass through shared memory: nothing is lost or woken too late, and
// the end of either side is seen.
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <array>
#include <cstring>
#include <functional>
#include <future>
#include <optional>
#include <thread>
#include <vector>

#include "net/shared_memory.hpp"
#include "net/stream.hpp"

namespace pccl::net {
namespace {

// The descriptor that came with the next byte.
FileDescriptor received_from(const FileDescriptor& socket) {
  std::byte one{};
  iovec part{&one, 1};
  alignas(cmsghdr) char space[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = space;
  message.msg_controllen = sizeof space;
  EXPECT_EQ(::recvmsg(socket.get(), &message, MSG_CMSG_CLOEXEC), 1);
  int descriptor = -1;
  const cmsghdr* const header = CMSG_FIRSTHDR(&message);
  if (header != nullptr) std::memcpy(&descriptor, CMSG_DATA(header), sizeof descriptor);
  return FileDescriptor(descriptor);
}

class MemoryStream : public testing::Test {
 protected:
  MemoryStream() {
    int ends[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    a.emplace(loop, FileDescriptor(ends[0]), Endpoint{});
    b.emplace(loop, FileDescriptor(ends[1]), Endpoint{});
    thread = std::thread([this] { loop.run(); });
  }
  ~MemoryStream() override {
    {
      const Loop::Hold hold(loop);
      a.reset();
      b.reset();
    }
    loop.stop();
    thread.join();
  }

  void share() {
    const Loop::Hold hold(loop);
    ASSERT_TRUE(a->offer_memory());
    std::array<std::byte, 3> welcome{};
    ASSERT_EQ(a->write(welcome).bytes, 3u);
    ASSERT_TRUE(a->turn_to_memory());
    ASSERT_EQ(b->read(welcome).bytes, 3u);
    ASSERT_TRUE(b->turn_to_memory());
  }

  static std::byte at(std::size_t position) {
    return static_cast<std::byte>(position * 0x9e3779b97f4a7c15ULL >> 56);
  }

  // Handlers, while the loop is held.
  void write_all(Stream& to, std::size_t total) {
    while (written < total) {
      std::vector<std::byte> piece(std::min<std::size_t>(total - written, 300'001));
      for (std::size_t i = 0; i < piece.size(); ++i) piece[i] = at(written + i);
      const Transfer put = to.write(piece);
      if (put.state == Transfer::State::closed) return ended.set_value(put.why);
      if (put.state == Transfer::State::would_block)
        return to.when_writable([this, &to, total] { write_all(to, total); });
      written += put.bytes;
    }
  }
  void read_all(Stream& from) {
    while (true) {
      std::vector<std::byte> piece(200'003);
      const Transfer got = from.read(piece);
      if (got.state == Transfer::State::closed) return ended.set_value(got.why);
      if (got.state == Transfer::State::would_block)
        return from.when_readable([this, &from] { read_all(from); });
      for (std::size_t i = 0; i < got.bytes; ++i) right = right && piece[i] == at(read + i);
      read += got.bytes;
      if (read == expected) arrived.set_value();
    }
  }

  Loop loop;
  std::optional<Stream> a, b;
  std::thread thread;
  std::size_t written = 0, read = 0, expected = 0;
  bool right = true;
  std::promise<std::string> ended;
  std::promise<void> arrived;
};

TEST_F(MemoryStream, CarriesEverythingInOrderAndThenTellsOfTheEnd) {
  share();
  expected = std::size_t{64} << 20;
  {
    const Loop::Hold hold(loop);
    read_all(*b);
  }
  {
    const Loop::Hold hold(loop);
    write_all(*a, expected);
  }
  arrived.get_future().get();
  {
    const Loop::Hold hold(loop);
    a->close();
  }
  EXPECT_EQ(ended.get_future().get(), "closed by the other side");
  EXPECT_TRUE(right);
  EXPECT_EQ(read, expected);
}

TEST_F(MemoryStream, AWriterThatWaitsForRoomHearsThatTheReaderIsGone) {
  share();
  {
    const Loop::Hold hold(loop);
    write_all(*b, std::size_t{8} << 20);  // more than fits
  }
  {
    const Loop::Hold hold(loop);
    a->close();
  }
  EXPECT_EQ(ended.get_future().get(), "closed by the other side");
}

// Bursts of single bytes from one loop to another, which answers each burst: the moments at which
// one goes to sleep and the other has just written meet in every order.
TEST(MemoryStreams, NoWakeUpIsLostBetweenTwoLoops) {
  constexpr int bursts = 20'000;
  int ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
  Loop loops[2];
  std::optional<Stream> streams[2];
  for (int end : {0, 1}) streams[end].emplace(loops[end], FileDescriptor(ends[end]), Endpoint{});
  std::array<std::byte, 3> welcome{};
  ASSERT_TRUE(streams[0]->offer_memory());
  ASSERT_EQ(streams[0]->write(welcome).bytes, 3u);
  ASSERT_TRUE(streams[0]->turn_to_memory());
  ASSERT_EQ(streams[1]->read(welcome).bytes, 3u);
  ASSERT_TRUE(streams[1]->turn_to_memory());

  std::promise<void> done;
  int left = bursts;
  const auto one_byte = [&](int end) {
    std::byte one{};
    return streams[end]->read({&one, 1}).state == Transfer::State::moved;
  };
  const auto burst_bytes = [](int burst) { return 1 + burst % 7; };
  const auto send = [&](int end, int count) {
    const std::byte one{};
    for (int i = 0; i < count; ++i) (void)streams[end]->write({&one, 1});
  };
  std::function<void()> ask = [&] {  // at end 0: the last burst has been answered
    while (one_byte(0)) {
      if (--left == 0) return done.set_value();
      send(0, burst_bytes(left));
    }
    streams[0]->when_readable(ask);
  };
  int burst = bursts, of_burst = 0;
  std::function<void()> answer = [&] {
    while (one_byte(1))
      if (++of_burst == burst_bytes(burst)) {
        --burst;
        of_burst = 0;
        send(1, 1);
      }
    streams[1]->when_readable(answer);
  };
  for (int end : {0, 1}) {
    const Loop::Hold hold(loops[end]);
    streams[end]->when_readable(end == 0 ? ask : answer);
    if (end == 0) send(0, burst_bytes(left));
  }
  std::thread threads[2] = {std::thread([&] { loops[0].run(); }),
                            std::thread([&] { loops[1].run(); })};
  EXPECT_EQ(done.get_future().wait_for(std::chrono::seconds(60)), std::future_status::ready)
      << left << " bursts are left";
  for (int end : {0, 1}) {
    {
      const Loop::Hold hold(loops[end]);
      streams[end].reset();
    }
    loops[end].stop();
    threads[end].join();
  }
}

// What a bell was rung for may have been read before it is heard.
TEST_F(MemoryStream, ABellForNothingDoesNotUseUpTheWordThatSomebodyWaits) {
  const auto fresh = SharedMemory::create();
  ASSERT_TRUE(fresh);
  int ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
  const FileDescriptor bell(ends[0]);
  std::optional<SharedMemory> there;
  std::optional<Stream> stream;
  {
    const Loop::Hold hold(loop);
    stream.emplace(loop, FileDescriptor(ends[1]), Endpoint{});
    ASSERT_TRUE(stream->offer_memory());
    std::array<std::byte, 1> one{};
    ASSERT_EQ(stream->write(one).bytes, 1u);
    ASSERT_TRUE(stream->turn_to_memory());
    there = SharedMemory::open(received_from(bell));
    ASSERT_TRUE(there);
    stream->when_readable([&] { arrived.set_value(); });
  }
  const std::array<std::byte, 1> one{};
  for (int time = 0; time < 100; ++time) {
    while (!there->outgoing().reader_waits()) std::this_thread::yield();
    ASSERT_EQ(::send(bell.get(), one.data(), 1, 0), 1);
  }
  ASSERT_EQ(there->outgoing().write(one, {}), 1u);
  while (!there->outgoing().reader_waits()) std::this_thread::yield();
  ASSERT_EQ(::send(bell.get(), one.data(), 1, 0), 1);
  arrived.get_future().get();
  const Loop::Hold hold(loop);
  stream.reset();
}

TEST_F(MemoryStream, WithoutAnOfferTheSocketCarriesOn) {
  const Loop::Hold hold(loop);
  EXPECT_FALSE(a->turn_to_memory());
  EXPECT_FALSE(b->turn_to_memory());
  std::array<std::byte, 3> out{std::byte{1}, std::byte{2}, std::byte{3}}, in{};
  EXPECT_EQ(a->write(out).bytes, 3u);
  EXPECT_EQ(b->read(in).bytes, 3u);
  EXPECT_EQ(in, out);
}

TEST_F(MemoryStream, WhatIsNoMemoryOfOursIsNotTurnedTo) {
  const Loop::Hold hold(loop);
  // A descriptor of something else, as a hostile process may send.
  int ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
  const FileDescriptor hostile(ends[0]);
  Stream victim(loop, FileDescriptor(ends[1]), Endpoint{});
  std::byte one{};
  iovec part{&one, 1};
  alignas(cmsghdr) char space[CMSG_SPACE(2 * sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = space;
  message.msg_controllen = sizeof space;
  cmsghdr* const header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(2 * sizeof(int));
  const int standard_streams[2] = {0, 2};
  std::memcpy(CMSG_DATA(header), standard_streams, sizeof standard_streams);
  ASSERT_EQ(::sendmsg(hostile.get(), &message, 0), 1);
  EXPECT_EQ(victim.read({&one, 1}).bytes, 1u);
  EXPECT_FALSE(victim.turn_to_memory());
}

}  // namespace
}  // namespace pccl::net
