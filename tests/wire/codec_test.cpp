// Every message there and back, and nothing but what an encoder could have written comes through.
#include "wire/codec.hpp"

#include <gtest/gtest.h>

#include <set>

#include "base/live_bytes.hpp"
#include "wire/framing.hpp"
#include "wire/random_message.hpp"

namespace pccl::wire {
namespace {

using test::Randomizer;
using test::same;

constexpr std::size_t message_count = std::variant_size_v<Message>;

// ---- what messages.hpp declares

// Stands for a field of any type in an aggregate's initializer.
struct Anything {
  template <typename Type>
  operator Type() const;
};
template <typename Struct, std::size_t... indices>
constexpr bool takes(std::index_sequence<indices...>) {
  return requires { Struct{(static_cast<void>(indices), Anything{})...}; };
}
template <typename Struct, std::size_t fields = 0>
constexpr std::size_t declared_fields() {
  if constexpr (takes<Struct>(std::make_index_sequence<fields + 1>{}))
    return declared_fields<Struct, fields + 1>();
  else
    return fields;
}
template <typename Struct>
constexpr bool fields_are_complete =
    declared_fields<Struct>() == std::tuple_size_v<decltype(Struct::fields)>;

static_assert(fields_are_complete<RunCounts> && fields_are_complete<Member> &&
              fields_are_complete<OpDescriptor>);

template <std::size_t... indices>
constexpr bool all_fields_are_complete(std::index_sequence<indices...>) {
  return (fields_are_complete<std::variant_alternative_t<indices, Message>> && ...);
}
static_assert(all_fields_are_complete(std::make_index_sequence<message_count>{}),
              "a member of a message is missing in its `fields`");

TEST(Messages, EveryKindHasItsOwnNumberAndName) {
  std::set<Kind> kinds;
  std::set<std::string_view> names;
  for (std::size_t index = 0; index < message_count; ++index) {
    const Kind kind = kind_of(Randomizer(1).message(index));
    kinds.insert(kind);
    names.insert(name_of(kind));
  }
  EXPECT_EQ(kinds.size(), message_count);
  EXPECT_EQ(names.size(), message_count);
  EXPECT_FALSE(names.contains("unknown"));
  EXPECT_EQ(name_of(static_cast<Kind>(0)), "unknown");
  EXPECT_EQ(name_of(static_cast<Kind>(200)), "unknown");
}

TEST(Messages, ADescriptorIsReadable) {
  EXPECT_EQ(describe({1024, DataType::float32, RedOp::sum, Algorithm::ring}),
            "1024 x float32 sum (ring)");
  EXPECT_EQ(describe({1, DataType::int8, RedOp::max, Algorithm::star}), "1 x int8 max (star)");
  EXPECT_EQ(describe({64, DataType::float32, RedOp::avg, Algorithm::ring,
                      QuantizationAlgorithm::min_max, Code::uint8}),
            "64 x float32 avg (ring, min-max to uint8)");
}

// ---- bodies of frames

Bytes body_of(const Message& message, Term term = Term{1}) {
  Bytes frame;
  encode(frame, term, message);
  return {frame.begin() + length_bytes, frame.end()};
}

std::optional<Frame> decoded(std::span<const std::byte> body) {
  std::string why;
  auto frame = decode(body, why);
  EXPECT_EQ(frame.has_value(), why.empty()) << why;
  return frame;
}

class EveryMessage : public testing::TestWithParam<std::size_t> {
 protected:
  static constexpr int variants = 20;
  Message message(int variant) const {
    return Randomizer(static_cast<std::uint64_t>(variant) * message_count + GetParam())
        .message(GetParam());
  }
};
INSTANTIATE_TEST_SUITE_P(Kinds, EveryMessage, testing::Range<std::size_t>(0, message_count),
                         [](const auto& kind) {
                           return std::string(name_of(kind_of(Randomizer(1).message(kind.param))));
                         });

TEST_P(EveryMessage, ComesBackAsItWas) {
  for (int variant = 0; variant < variants; ++variant) {
    const Message sent = message(variant);
    const Term term{0x8877665544332211u + static_cast<std::uint64_t>(variant)};
    const auto frame = decoded(body_of(sent, term));
    ASSERT_TRUE(frame);
    EXPECT_EQ(frame->term, term);
    EXPECT_TRUE(same(frame->message, sent));
  }
}

TEST_P(EveryMessage, IsAppendedWithItsLengthBefore) {
  Bytes out(3, std::byte{0xee});
  encode(out, Term{1}, message(0));
  encode(out, Term{1}, message(1));
  const std::size_t first = body_of(message(0)).size(), second = body_of(message(1)).size();
  ASSERT_EQ(out.size(), 3 + length_bytes + first + length_bytes + second);
  EXPECT_EQ(out[2], std::byte{0xee});
  EXPECT_EQ(out[3], static_cast<std::byte>(first & 0xff));
  EXPECT_EQ(out[4], static_cast<std::byte>(first >> 8));
  EXPECT_EQ(out[3 + length_bytes + first], static_cast<std::byte>(second & 0xff));
}

TEST_P(EveryMessage, IsRefusedWhenTruncatedAnywhere) {
  for (int variant = 0; variant < variants; ++variant) {
    const Bytes body = body_of(message(variant));
    for (std::size_t length = 0; length < body.size(); ++length)
      EXPECT_FALSE(decoded(std::span(body).first(length))) << length << " of " << body.size();
  }
}

TEST_P(EveryMessage, IsRefusedWithBytesBehindIt) {
  for (int variant = 0; variant < variants; ++variant) {
    Bytes body = body_of(message(variant));
    body.push_back(std::byte{0});
    EXPECT_FALSE(decoded(body));
  }
}

// There is one spelling for each message: what is accepted is what an encoder writes.
TEST_P(EveryMessage, IsRefusedOrAnotherMessageWhenAByteIsWrong) {
  for (int variant = 0; variant < 4; ++variant) {
    const Bytes body = body_of(message(variant));
    for (std::size_t at = 0; at < body.size(); at += 1 + body.size() / 500)
      for (const int value : {0x00, 0x01, 0x7f, 0x80, 0xff}) {
        Bytes wrong = body;
        wrong[at] = static_cast<std::byte>(value);
        if (const auto frame = decoded(wrong)) {
          EXPECT_EQ(body_of(frame->message, frame->term), wrong) << "byte " << at;
        }
      }
  }
}

// Calls `check` once for each enum and flag of a message, with that one out of its range.
template <typename Struct, typename Whole, typename Check>
void with_each_enum_out_of_range(Struct& part, const Whole& whole, const Check& check) {
  const auto visit = [&](auto& field) {
    using Field = std::decay_t<decltype(field)>;
    if constexpr (std::is_enum_v<Field>) {
      const Field good = field;
      for (const unsigned bad : {values_of<Field>() + 0u, 255u}) {
        field = static_cast<Field>(bad);
        check(whole);
      }
      field = good;
    } else if constexpr (HasFields<Field>) {
      with_each_enum_out_of_range(field, whole, check);
    }
  };
  std::apply([&](auto... field) { (visit(part.*field), ...); }, Struct::fields);
}

TEST_P(EveryMessage, IsRefusedWhenAnEnumHasNoSuchValue) {
  Message content = message(0);
  std::visit(
      [&](auto& part) {
        with_each_enum_out_of_range(part, content, [](const Message& bad) {
          std::string why;
          EXPECT_FALSE(decode(body_of(bad), why));
          EXPECT_NE(why.find("malformed"), std::string::npos) << why;
        });
      },
      content);
}

// ---- particular malice

Bytes header_of(Kind kind) {
  Bytes body;
  Encoder encoder(body);
  encoder.put(kind);
  encoder.put(Term{1});
  return body;
}

TEST(Codec, AFlagIsZeroOrOne) {
  for (const int value : {0, 1, 2, 255}) {
    Bytes body = body_of(Heartbeat{});
    body[9] = static_cast<std::byte>(value);
    EXPECT_EQ(decoded(body).has_value(), value <= 1) << value;
  }
}

TEST(Codec, UnknownKindsAreNamedByNumber) {
  for (const int kind : {0, 99, 255}) {
    Bytes body = body_of(Leave{});
    body[0] = static_cast<std::byte>(kind);
    std::string why;
    EXPECT_FALSE(decode(body, why));
    EXPECT_EQ(why, "unknown message kind " + std::to_string(kind));
  }
}

TEST(Codec, TextsAreCutWhenSentAndRefusedWhenTooLong) {
  const auto frame = decoded(body_of(Refused{std::string(5000, 'x')}));
  ASSERT_TRUE(frame);
  EXPECT_EQ(std::get<Refused>(frame->message).why, std::string(limits::reason_bytes, 'x'));

  for (const std::size_t length : {limits::reason_bytes, limits::reason_bytes + 1}) {
    Bytes body = header_of(Kind::refused);
    Encoder(body).put(static_cast<std::uint16_t>(length));
    body.resize(body.size() + length, std::byte{'x'});
    EXPECT_EQ(decoded(body).has_value(), length <= limits::reason_bytes) << length;
  }
}

TEST(Codec, ClaimedLengthsTakeNoMemory) {
  Bytes many_members = header_of(Kind::epoch_proposed);
  Encoder proposal(many_members);
  proposal.put(Epoch{1});
  proposal.put(EpochReason::admission);
  proposal.put(Token{});
  proposal.put(std::uint16_t{0xffff});
  many_members.resize(many_members.size() + 100);

  Bytes much_input = header_of(Kind::op_begin);
  Encoder begin(much_input);
  begin.put(OpKey{});
  begin.put(OpDescriptor{});
  begin.put(std::uint32_t{0xffffffff});
  much_input.resize(much_input.size() + 100);

  Bytes long_text = header_of(Kind::removed);
  Encoder(long_text).put(std::uint16_t{0xffff});
  long_text.resize(long_text.size() + 100);

  for (const Bytes& body : {many_members, much_input, long_text}) {
    pccl::test::start_peak();
    const std::size_t before = pccl::test::live_bytes();
    EXPECT_FALSE(decoded(body));
    EXPECT_LT(pccl::test::peak_bytes() - before, 4096u);
  }
}

// The longest list that fits a frame but lies about its length: its items cost what they weigh.
TEST(Codec, AListOfAWholeFrameIsBoundedByTheFrame) {
  Bytes body = header_of(Kind::epoch_proposed);
  Encoder proposal(body);
  proposal.put(Epoch{1});
  proposal.put(EpochReason::admission);
  proposal.put(Token{});
  proposal.put(std::uint16_t{0xffff});
  body.resize(limits::control_frame_bytes);
  pccl::test::start_peak();
  const std::size_t before = pccl::test::live_bytes();
  EXPECT_FALSE(decoded(body));
  EXPECT_LT(pccl::test::peak_bytes() - before, 6 * limits::control_frame_bytes);
}

TEST(Codec, TheLargestRunFitsAFrame) {
  EpochProposed proposal;
  proposal.ring.resize(limits::peers);
  proposal.why = std::string(limits::reason_bytes, 'x');
  Bytes frame;
  encode(frame, Term{1}, proposal);
  EXPECT_LE(frame.size(), limits::control_frame_bytes);
  OpBegin begin;
  begin.input.resize(limits::star_bytes);
  frame.clear();
  encode(frame, Term{1}, begin);
  EXPECT_LE(frame.size(), limits::control_frame_bytes);
}

TEST(Codec, GreetingsFitTheLimitOfGreetings) {
  for (const Message& message :
       {Message{Hello{}}, Message{LaneHello{}}, Message{LaneWelcome{}}, Message{Welcome{}}})
    EXPECT_LE(body_of(message).size() + length_bytes, limits::greeting_frame_bytes);
}

TEST(Codec, ADecoderThatFailedReadsNothingMore) {
  const Bytes three(3, std::byte{7});
  Decoder decoder(three);
  std::uint32_t number = 5;
  decoder.get(number);
  EXPECT_FALSE(decoder.ok());
  std::uint8_t octet = 9;
  decoder.get(octet);
  EXPECT_EQ(octet, 0);
  EXPECT_FALSE(decoder.used_up());
}

}  // namespace
}  // namespace pccl::wire
