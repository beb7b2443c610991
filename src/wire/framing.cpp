#include "wire/framing.hpp"

#include <fmt/format.h>

#include <utility>

#include "wire/codec.hpp"

namespace pccl::wire {

namespace {

template <std::size_t index = 0>
bool decode_payload(Kind kind, Decoder& decoder, Message& message) {
  if constexpr (index == std::variant_size_v<Message>) {
    return false;
  } else {
    using Candidate = std::variant_alternative_t<index, Message>;
    if (Candidate::kind != kind) return decode_payload<index + 1>(kind, decoder, message);
    decoder.get(message.emplace<Candidate>());
    return true;
  }
}

}  // namespace

void encode(std::vector<std::byte>& out, Term term, const Message& message) {
  const std::size_t begin = out.size();
  Encoder encoder(out);
  encoder.put(std::uint32_t{0});
  encoder.put(kind_of(message));
  encoder.put(term);
  std::visit([&](const auto& content) { encoder.put(content); }, message);
  const std::size_t length = out.size() - begin - length_bytes;
  for (std::size_t byte = 0; byte < length_bytes; ++byte)
    out[begin + byte] = static_cast<std::byte>(length >> (8 * byte));
}

std::optional<Frame> decode(std::span<const std::byte> body, std::string& why) {
  Decoder decoder(body);
  std::uint8_t kind = 0;
  Frame frame;
  decoder.get(kind);
  decoder.get(frame.term);
  if (!decoder.ok()) {
    why = fmt::format("a frame of {} bytes has no room for its header", body.size());
    return std::nullopt;
  }
  if (!decode_payload(static_cast<Kind>(kind), decoder, frame.message)) {
    why = fmt::format("unknown message kind {}", kind);
    return std::nullopt;
  }
  if (!decoder.used_up()) {
    why = fmt::format("malformed {} message of {} bytes", name_of(static_cast<Kind>(kind)),
                      body.size());
    return std::nullopt;
  }
  return frame;
}

void FrameReader::append(std::span<const std::byte> bytes) {
  if (begin_ > 0) {
    buffer_.erase(buffer_.begin(), buffer_.begin() + static_cast<std::ptrdiff_t>(begin_));
    begin_ = 0;
  }
  buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
}

std::vector<std::byte> FrameReader::take_rest() {
  std::vector<std::byte> rest(buffer_.begin() + static_cast<std::ptrdiff_t>(begin_), buffer_.end());
  buffer_.clear();
  begin_ = 0;
  return rest;
}

std::optional<Frame> FrameReader::next() {
  const std::span<const std::byte> unread = std::span(buffer_).subspan(begin_);
  if (!broken_.empty() || unread.size() < length_bytes) return std::nullopt;
  Decoder decoder(unread.first(length_bytes));
  std::uint32_t length = 0;
  decoder.get(length);
  if (length > payload_limit_ + frame_overhead_bytes - length_bytes) {
    broken_ = fmt::format("a frame of {} bytes is over the limit of {}", length, payload_limit_);
    return std::nullopt;
  }
  if (unread.size() - length_bytes < length) return std::nullopt;
  begin_ += length_bytes + length;
  return decode(unread.subspan(length_bytes, length), broken_);
}

}  // namespace pccl::wire
