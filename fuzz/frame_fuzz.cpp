// Control frames: the input as one body, and as a stream in pieces. What is accepted is what an
// encoder writes, and the pieces make no difference.
#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "base/limits.hpp"
#include "input.hpp"
#include "wire/codec.hpp"
#include "wire/framing.hpp"

namespace {

using namespace pccl;
using fuzz::require;

wire::Bytes encoded(const wire::Frame& frame) {
  wire::Bytes bytes;
  wire::encode(bytes, frame.term, frame.message);
  return bytes;
}

void one_body(std::span<const std::byte> body) {
  std::string why;
  const auto frame = wire::decode(body, why);
  require(frame.has_value() == why.empty(), "a refusal has a reason, nothing else has");
  if (!frame) return;
  const wire::Bytes again = encoded(*frame);
  require(std::ranges::equal(std::span(again).subspan(wire::length_bytes), body),
          "decode, then encode gives the same bytes");
  require(wire::decode(std::span(again).subspan(wire::length_bytes), why).has_value(),
          "what was accepted is accepted again");
}

struct Read {
  wire::Bytes frames;  // encoded again
  std::string broken;
};

Read read_in_pieces(std::span<const std::byte> stream, std::size_t piece) {
  wire::FrameReader reader(limits::greeting_frame_bytes);
  Read read;
  while (true) {
    while (const auto frame = reader.next()) {
      const wire::Bytes bytes = encoded(*frame);
      read.frames.insert(read.frames.end(), bytes.begin(), bytes.end());
    }
    if (stream.empty() || !reader.broken().empty()) break;
    const std::size_t some = std::min(piece, stream.size());
    reader.append(stream.first(some));
    stream = stream.subspan(some);
  }
  read.broken = reader.broken();
  return read;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  one_body(bytes);
  if (bytes.empty()) return 0;
  const auto stream = bytes.subspan(1);
  const Read whole = read_in_pieces(stream, stream.size() + 1);
  require(whole.frames.size() <= stream.size() &&
              std::equal(whole.frames.begin(), whole.frames.end(), stream.begin()),
          "the frames are the beginning of the stream");
  const Read pieces = read_in_pieces(stream, 1 + data[0] % 40);
  require(whole.frames == pieces.frames && whole.broken == pieces.broken,
          "pieces make no difference");
  return 0;
}
