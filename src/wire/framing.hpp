// Control frames: `length u32 | kind u8 | term u64 | payload`; the length counts what follows it.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "base/ids.hpp"
#include "wire/messages.hpp"

namespace pccl::wire {

inline constexpr std::size_t length_bytes = 4;
inline constexpr std::size_t frame_overhead_bytes = length_bytes + 1 + 8;

struct Frame {
  Term term;
  Message message;
};

// Appends one frame to `out`.
void encode(std::vector<std::byte>& out, Term term, const Message& message);

// The body of one frame, without its length: kind, term, payload. Nothing when it is malformed;
// then `why` says how.
std::optional<Frame> decode(std::span<const std::byte> body, std::string& why);

// Cuts a byte stream into frames. Memory never exceeds one frame of the limit beyond what was
// handed in.
class FrameReader {
 public:
  explicit FrameReader(std::size_t payload_limit) : payload_limit_(payload_limit) {}

  void raise_limit(std::size_t payload_limit) { payload_limit_ = payload_limit; }
  void append(std::span<const std::byte> bytes);

  // The next whole frame; nothing when more bytes are needed or the stream is malformed (then
  // broken()).
  std::optional<Frame> next();
  std::vector<std::byte> take_rest();                    // what has been appended and not taken
  const std::string& broken() const { return broken_; }  // empty: fine

 private:
  std::size_t payload_limit_;
  std::vector<std::byte> buffer_;
  std::size_t begin_ = 0;  // of the first frame not yet taken
  std::string broken_;
};

}  // namespace pccl::wire
