// What goes out together: over a socket that keeps writes apart, so that they can be counted.
#include "net/control_channel.hpp"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <functional>
#include <future>
#include <optional>
#include <thread>
#include <vector>

#include "base/limits.hpp"
#include "net/loop.hpp"
#include "wire/framing.hpp"

namespace pccl::net {
namespace {

class ControlChannelTest : public testing::Test {
 protected:
  ControlChannelTest() {
    int ends[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    channel_.emplace(Stream(loop_, FileDescriptor(ends[0]), Endpoint{}),
                     limits::control_frame_bytes);
    other_end_ = FileDescriptor(ends[1]);
    thread_ = std::thread([this] { loop_.run(); });
  }
  ~ControlChannelTest() override {
    {
      const Loop::Hold hold(loop_);
      channel_.reset();
    }
    loop_.stop();
    thread_.join();
  }

  void send(int messages) {
    for (int sent = 0; sent < messages; ++sent) channel_->send(Term{1}, wire::Heartbeat{});
  }
  // Runs it in a turn of the loop, and returns when all that the turn left to do is done, too.
  void in_a_turn(const std::function<void()>& task) {
    std::promise<void> done;
    loop_.post([&] {
      task();
      loop_.post([&] { done.set_value(); });
    });
    done.get_future().get();
  }
  // Frames in each write until now.
  std::vector<std::size_t> writes() {
    std::vector<std::size_t> counts;
    std::array<std::byte, 4096> bytes;
    ssize_t length = 0;
    while ((length = ::recv(other_end_.get(), bytes.data(), bytes.size(), 0)) > 0) {
      wire::FrameReader reader(limits::control_frame_bytes);
      reader.append(std::span(bytes).first(static_cast<std::size_t>(length)));
      counts.push_back(0);
      while (reader.next()) ++counts.back();
    }
    return counts;
  }
  using Counts = std::vector<std::size_t>;

  Loop loop_;
  std::optional<ControlChannel> channel_;
  FileDescriptor other_end_;
  std::thread thread_;
};

TEST_F(ControlChannelTest, EachMessageGoesOutAtOnceUnlessBatched) {
  in_a_turn([&] { send(3); });
  EXPECT_EQ(writes(), (Counts{1, 1, 1}));
}

TEST_F(ControlChannelTest, MessagesOfOneTurnGoOutTogether) {
  channel_->batch_sends();
  in_a_turn([&] { send(3); });
  EXPECT_EQ(writes(), Counts{3});
  in_a_turn([&] { send(2); });
  EXPECT_EQ(writes(), Counts{2});
}

TEST_F(ControlChannelTest, OutsideATurnNothingWaits) {
  channel_->batch_sends();
  in_a_turn([] {});  // its thread has the loop
  {
    const Loop::Hold hold(loop_);
    send(1);
    EXPECT_EQ(writes(), Counts{1});
  }
}

TEST_F(ControlChannelTest, WhatHasLeisureGoesWithTheNextMessage) {
  in_a_turn([&] {
    channel_->send_at_leisure(Term{1}, wire::Heartbeat{});
    channel_->send_at_leisure(Term{1}, wire::Heartbeat{});
    EXPECT_EQ(writes(), Counts{});
    send(1);
  });
  EXPECT_EQ(writes(), Counts{3});
}

TEST_F(ControlChannelTest, WhatHasLeisureGoesBeforeTheLoopSleeps) {
  in_a_turn([&] {
    for (int message = 0; message < 3; ++message)
      channel_->send_at_leisure(Term{1}, wire::Heartbeat{});
  });
  pollfd coming{other_end_.get(), POLLIN, 0};
  EXPECT_EQ(::poll(&coming, 1, 10'000), 1);
  EXPECT_EQ(writes(), Counts{3});
}

TEST_F(ControlChannelTest, OutsideATurnLeisureIsOver) {
  in_a_turn([] {});
  const Loop::Hold hold(loop_);
  channel_->send_at_leisure(Term{1}, wire::Heartbeat{});
  EXPECT_EQ(writes(), Counts{1});
}

TEST_F(ControlChannelTest, AFarewellTakesWithItWhatWaits) {
  channel_->batch_sends();
  in_a_turn([&] {
    send(2);
    channel_->close_after_sending();
    EXPECT_EQ(writes(), Counts{2});
  });
  EXPECT_EQ(writes(), Counts{});
}

TEST_F(ControlChannelTest, WhatWaitsMayOutliveItsChannel) {
  channel_->batch_sends();
  in_a_turn([&] {
    send(2);
    channel_.reset();
  });
  EXPECT_EQ(writes(), Counts{});
}

}  // namespace
}  // namespace pccl::net
