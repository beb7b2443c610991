// Control frames over one connection. Sends what the kernel takes, at once unless batched, and
// queues the rest, within a bound. All methods and callbacks run while the loop is held; a callback
// may close or destroy the channel.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "net/stream.hpp"
#include "wire/framing.hpp"

namespace pccl::net {

class ControlChannel {
 public:
  using OnFrame = std::function<void(wire::Frame frame)>;
  using OnClosed = std::function<void(const std::string& why)>;  // once, and not after close()

  ControlChannel(Stream stream, std::size_t frame_limit);
  ~ControlChannel();

  void start(OnFrame on_frame, OnClosed on_closed);
  void raise_limit(std::size_t frame_limit);
  // From now on what is sent in one turn of the loop goes out together, at the end of it; what is
  // sent while nobody runs the loop, with its next turn (Loop::soon).
  void batch_sends();
  void send(Term term, const wire::Message& message);
  // With the next message, or before the loop sleeps (Loop::before_sleep).
  void send_at_leisure(Term term, const wire::Message& message);
  // Delivers no more frames; ends when what is queued has gone out and the other side has ended,
  // too. A close before that would answer whatever still arrives with a reset, which can overtake
  // the farewell: the owner decides how long it is worth waiting.
  void close_after_sending();
  void close();
  const Endpoint& remote() const;

  bool offer_memory();  // as of the stream: it travels with the next frame

  // Hands over the stream and the bytes already read beyond the last frame.
  std::pair<Stream, std::vector<std::byte>> release();

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace pccl::net
