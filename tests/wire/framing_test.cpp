// A byte stream cut into frames: however it is split, whatever it claims.
#include "wire/framing.hpp"

#include <gtest/gtest.h>

#include "base/limits.hpp"
#include "base/live_bytes.hpp"
#include "wire/codec.hpp"
#include "wire/random_message.hpp"

namespace pccl::wire {
namespace {

using test::Randomizer;
using test::same;

constexpr std::size_t message_count = std::variant_size_v<Message>;

std::vector<Message> some_messages(std::uint64_t seed) {
  Randomizer random(seed);
  std::vector<Message> messages;
  for (std::size_t index = 0; index < message_count; ++index)
    messages.push_back(random.message(index));
  return messages;
}

Bytes stream_of(const std::vector<Message>& messages) {
  Bytes stream;
  for (const Message& message : messages) encode(stream, Term{3}, message);
  return stream;
}

Bytes raw_frame(std::uint32_t length, std::size_t body_bytes) {
  Bytes bytes;
  Encoder(bytes).put(length);
  bytes.resize(bytes.size() + body_bytes);
  return bytes;
}

void expect_next(FrameReader& reader, const std::vector<Message>& sent, std::size_t& received) {
  while (const auto frame = reader.next()) {
    ASSERT_LT(received, sent.size());
    EXPECT_EQ(frame->term, Term{3});
    EXPECT_TRUE(same(frame->message, sent[received])) << received;
    ++received;
  }
  EXPECT_EQ(reader.broken(), "");
}

TEST(FrameReader, TakesAllFramesOfOneReading) {
  const auto sent = some_messages(1);
  FrameReader reader(limits::control_frame_bytes);
  reader.append(stream_of(sent));
  std::size_t received = 0;
  expect_next(reader, sent, received);
  EXPECT_EQ(received, sent.size());
}

TEST(FrameReader, TakesTheStreamByteByByte) {
  const auto sent = some_messages(2);
  const Bytes stream = stream_of(sent);
  FrameReader reader(limits::control_frame_bytes);
  std::size_t received = 0;
  for (const std::byte byte : stream) {
    reader.append({&byte, 1});
    expect_next(reader, sent, received);
  }
  EXPECT_EQ(received, sent.size());
}

TEST(FrameReader, TakesTheStreamInAnyPieces) {
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    const auto sent = some_messages(seed);
    const Bytes stream = stream_of(sent);
    Rng rng(seed);
    FrameReader reader(limits::control_frame_bytes);
    std::size_t received = 0;
    for (std::size_t at = 0; at < stream.size();) {
      const std::size_t piece = std::min<std::size_t>(stream.size() - at, rng.below(300));
      reader.append(std::span(stream).subspan(at, piece));
      at += piece;
      if (rng.chance(0.5)) expect_next(reader, sent, received);
    }
    expect_next(reader, sent, received);
    EXPECT_EQ(received, sent.size()) << "seed " << seed;
  }
}

TEST(FrameReader, WaitsForTheRestOfAFrame) {
  const Bytes stream = stream_of({Leave{}});
  for (std::size_t length = 0; length < stream.size(); ++length) {
    FrameReader reader(limits::control_frame_bytes);
    reader.append(std::span(stream).first(length));
    EXPECT_FALSE(reader.next());
    EXPECT_EQ(reader.broken(), "");
  }
}

TEST(FrameReader, AFrameWithoutRoomForItsHeaderBreaksTheStream) {
  for (std::uint32_t length = 0; length < frame_overhead_bytes - length_bytes; ++length) {
    FrameReader reader(limits::control_frame_bytes);
    reader.append(raw_frame(length, length));
    EXPECT_FALSE(reader.next());
    EXPECT_NE(reader.broken(), "") << length;
  }
}

TEST(FrameReader, ALengthOverTheLimitBreaksTheStreamAtOnce) {
  for (const std::uint32_t length : {0xffffffffu, 0x80000000u, 2000u}) {
    FrameReader reader(1000);
    reader.append(raw_frame(length, 0));
    EXPECT_FALSE(reader.next()) << "before a byte of the body has come";
    EXPECT_NE(reader.broken().find("over the limit of 1000"), std::string::npos) << reader.broken();
  }
}

// The limit is the payload's: kind and term do not count.
TEST(FrameReader, TheLimitIsExact) {
  const Message message = Refused{std::string(500, 'x')};
  const std::size_t payload = 502;
  const Bytes stream = stream_of({message});
  ASSERT_EQ(stream.size(), frame_overhead_bytes + payload);
  FrameReader at_limit(payload);
  at_limit.append(stream);
  EXPECT_TRUE(at_limit.next());
  for (std::size_t less = 1; less <= 8; ++less) {
    FrameReader below(payload - less);
    below.append(stream);
    EXPECT_FALSE(below.next());
    EXPECT_NE(below.broken(), "") << less << " below";
  }
}

TEST(FrameReader, ARaisedLimitHoldsFromThenOn) {
  const Message large = EpochProposed{.ring = std::vector<Member>(100)};
  FrameReader reader(limits::greeting_frame_bytes);
  reader.append(stream_of({Leave{}}));
  EXPECT_TRUE(reader.next());
  reader.raise_limit(limits::control_frame_bytes);
  reader.append(stream_of({large}));
  const auto frame = reader.next();
  ASSERT_TRUE(frame);
  EXPECT_TRUE(same(frame->message, large));
}

TEST(FrameReader, NothingFollowsWhatIsMalformed) {
  FrameReader reader(limits::control_frame_bytes);
  Bytes stream = stream_of({Leave{}, Leave{}, Leave{}});
  const std::size_t frame_bytes = stream.size() / 3;
  stream[frame_bytes + length_bytes] = std::byte{99};  // the second one's kind
  reader.append(stream);
  EXPECT_TRUE(reader.next());
  EXPECT_FALSE(reader.next());
  EXPECT_EQ(reader.broken(), "unknown message kind 99");
  EXPECT_FALSE(reader.next()) << "the third frame is not reached";
  reader.append(stream_of({Leave{}}));
  EXPECT_FALSE(reader.next());
  EXPECT_EQ(reader.broken(), "unknown message kind 99") << "the first reason stays";
}

TEST(FrameReader, MemoryDoesNotGrowWithTheStream) {
  const auto sent = some_messages(7);
  const Bytes stream = stream_of(sent);
  FrameReader reader(limits::control_frame_bytes);
  const std::size_t before = pccl::test::live_bytes();
  for (int round = 0; round < 1000; ++round) {
    reader.append(stream);
    std::size_t received = 0;
    expect_next(reader, sent, received);
  }
  EXPECT_LT(pccl::test::live_bytes() - before, 4 * stream.size());
}

// What a hostile sender can make us hold is what it has sent, not what it has claimed.
TEST(FrameReader, AClaimedLengthTakesNoMemory) {
  FrameReader reader(limits::control_frame_bytes);
  const std::size_t before = pccl::test::live_bytes();
  reader.append(raw_frame(limits::control_frame_bytes, 10));
  EXPECT_FALSE(reader.next());
  EXPECT_EQ(reader.broken(), "");
  EXPECT_LT(pccl::test::live_bytes() - before, 1000u);
}

}  // namespace
}  // namespace pccl::wire
