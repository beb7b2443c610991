// The header of a bulk frame: one spelling each, and nothing else is accepted.
#include "wire/bulk.hpp"

#include <gtest/gtest.h>

#include "base/limits.hpp"
#include "wire/random_message.hpp"

namespace pccl::wire {
namespace {

BulkHeader random_header(std::uint64_t seed) {
  test::Randomizer random(seed);
  Rng rng(seed);
  BulkHeader header{.kind = static_cast<BulkKind>(1 + rng.below(4))};
  random.fill(header.op);
  random.fill(header.position);
  if (header.kind == BulkKind::segment)
    header.length = static_cast<std::uint32_t>(rng.below(limits::segment_bytes + 1));
  return header;
}

bool equal(const BulkHeader& a, const BulkHeader& b) {
  return a.kind == b.kind && a.op == b.op && a.position == b.position && a.length == b.length;
}

TEST(BulkHeader, ComesBackAsItWas) {
  for (std::uint64_t seed = 0; seed < 500; ++seed) {
    const BulkHeader sent = random_header(seed);
    const auto received = decode_bulk(encode(sent));
    ASSERT_TRUE(received) << seed;
    EXPECT_TRUE(equal(*received, sent)) << seed;
  }
}

TEST(BulkHeader, LiesAsDocumented) {
  const BulkHeader header{
      BulkKind::segment, {Epoch{0x1122}, Tag{0x33}, Launch{0x44}}, 0x55, 0x6677};
  const BulkHeaderBytes bytes = encode(header);
  const std::pair<std::size_t, int> expected[] = {{0, 1},     {4, 0x22},  {5, 0x11},  {12, 0x33},
                                                  {20, 0x44}, {24, 0x55}, {28, 0x77}, {29, 0x66}};
  BulkHeaderBytes rest = bytes;
  for (const auto& [at, value] : expected) {
    EXPECT_EQ(bytes[at], static_cast<std::byte>(value)) << at;
    rest[at] = std::byte{0};
  }
  EXPECT_EQ(rest, BulkHeaderBytes{}) << "everything else is zero";
}

TEST(BulkHeader, KindsOutOfRangeAreRefused) {
  for (int kind = 0; kind < 256; ++kind) {
    BulkHeaderBytes bytes = encode(BulkHeader{});
    bytes[0] = static_cast<std::byte>(kind);
    EXPECT_EQ(decode_bulk(bytes).has_value(), kind >= 1 && kind <= 10) << kind;
  }
}

TEST(BulkHeader, ReservedBytesAreZero) {
  for (std::size_t at = 1; at < 4; ++at) {
    BulkHeaderBytes bytes = encode(BulkHeader{});
    bytes[at] = std::byte{1};
    EXPECT_FALSE(decode_bulk(bytes)) << at;
  }
}

TEST(BulkHeader, ASegmentIsAtMostASegmentLongAndTheOthersAreEmpty) {
  const auto accepted = [](BulkKind kind, std::size_t length) {
    return decode_bulk(encode(BulkHeader{kind, {}, 0, static_cast<std::uint32_t>(length)}))
        .has_value();
  };
  EXPECT_TRUE(accepted(BulkKind::segment, 0));
  EXPECT_TRUE(accepted(BulkKind::segment, limits::segment_bytes));
  EXPECT_FALSE(accepted(BulkKind::segment, limits::segment_bytes + 1));
  EXPECT_FALSE(accepted(BulkKind::segment, 0xffffffff));
  EXPECT_TRUE(accepted(BulkKind::load, limits::load_bytes));
  EXPECT_FALSE(accepted(BulkKind::load, limits::load_bytes + 1));
  for (const BulkKind kind :
       {BulkKind::credit, BulkKind::ping, BulkKind::pong, BulkKind::load_wanted}) {
    EXPECT_TRUE(accepted(kind, 0));
    EXPECT_FALSE(accepted(kind, 1));
    EXPECT_FALSE(accepted(kind, 0xffffffff));
  }
}

TEST(BulkHeader, WhatIsAcceptedIsWhatAnEncoderWrites) {
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    const BulkHeaderBytes bytes = encode(random_header(seed));
    for (std::size_t at = 0; at < bytes.size(); ++at) {
      BulkHeaderBytes wrong = bytes;
      wrong[at] ^= static_cast<std::byte>(1 + seed % 255);
      if (const auto header = decode_bulk(wrong)) {
        EXPECT_EQ(encode(*header), wrong);
      }
    }
  }
}

}  // namespace
}  // namespace pccl::wire
