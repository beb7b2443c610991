#include "net/control_channel.hpp"

#include <array>
#include <utility>

namespace pccl::net {

namespace {

// A receiver that lets this much pile up is not alive in any useful sense.
constexpr std::size_t queue_limit_bytes = 64 << 20;
constexpr std::size_t read_bytes = 64 << 10;
constexpr int reads_per_wakeup = 16;

}  // namespace

struct ControlChannel::State : std::enable_shared_from_this<State> {
  State(Stream connected, std::size_t limit) : stream(std::move(connected)), reader(limit) {}

  void wait_readable() {
    stream.when_readable([weak = weak_from_this()] {
      if (const auto state = weak.lock()) state->read();
    });
  }

  void read() {
    std::array<std::byte, read_bytes> buffer;
    for (int count = 0; count < reads_per_wakeup && stream.open(); ++count) {
      const Transfer got = stream.read(buffer);
      if (got.state == Transfer::State::closed) return fail(got.why);
      if (got.state == Transfer::State::would_block) break;
      if (farewell)
        continue;  // drained, so that the close does not turn into a reset that eats the farewell
      reader.append(std::span(buffer).first(got.bytes));
      while (std::optional<wire::Frame> frame = reader.next()) {
        if (on_frame) on_frame(std::move(*frame));
        if (released || farewell || !stream.open()) break;
      }
      if (dead || released) return;
      if (!reader.broken().empty()) return fail("protocol error: " + reader.broken());
      if (got.bytes < buffer.size()) break;
    }
    if (stream.open()) wait_readable();
  }

  bool put(Term term, const wire::Message& message) {
    if (!stream.open() || farewell) return false;
    wire::encode(queue, term, message);
    if (queue.size() - written <= queue_limit_bytes) return true;
    fail("it does not read what is sent to it");
    return false;
  }

  void send_at_leisure(Term term, const wire::Message& message) {
    if (!put(term, message) || std::exchange(flush_before_sleep, true)) return;
    stream.loop().before_sleep([weak = weak_from_this()] {
      const auto state = weak.lock();
      if (!state) return;
      state->flush_before_sleep = false;
      if (!state->waiting_writable && !state->flush_posted) state->flush();
    });
  }

  void send(Term term, const wire::Message& message) {
    if (!put(term, message) || waiting_writable || flush_posted) return;
    if (!batches) return flush();
    flush_posted = true;
    stream.loop().soon([weak = weak_from_this()] {
      const auto state = weak.lock();
      if (!state) return;
      state->flush_posted = false;
      if (!state->waiting_writable) state->flush();
    });
  }

  void flush() {
    while (stream.open() && written < queue.size()) {
      const Transfer put = stream.write(std::span(queue).subspan(written));
      // A write error is reported by the reading side, after what the other side still said.
      if (put.state == Transfer::State::closed) break;
      if (put.state == Transfer::State::would_block) {
        waiting_writable = true;
        return stream.when_writable([weak = weak_from_this()] {
          const auto state = weak.lock();
          if (!state) return;
          state->waiting_writable = false;
          state->flush();
        });
      }
      written += put.bytes;
    }
    queue.clear();
    written = 0;
    if (farewell) stream.finish_sending();
  }

  void fail(const std::string& why) {
    stream.close();
    if (const OnClosed callback = std::exchange(on_closed, nullptr); callback && !dead)
      callback(why);
  }

  Stream stream;
  wire::FrameReader reader;
  OnFrame on_frame;
  OnClosed on_closed;
  std::vector<std::byte> queue;
  std::size_t written = 0;
  bool waiting_writable = false;
  bool batches = false, flush_posted = false, flush_before_sleep = false;
  bool farewell = false;
  bool released = false;
  bool dead = false;
};

ControlChannel::ControlChannel(Stream stream, std::size_t frame_limit)
    : state_(std::make_shared<State>(std::move(stream), frame_limit)) {}

ControlChannel::~ControlChannel() {
  state_->dead = true;  // a callback may be running: it must not be destroyed under its own feet
  state_->stream.close();
}

void ControlChannel::start(OnFrame on_frame, OnClosed on_closed) {
  state_->on_frame = std::move(on_frame);
  state_->on_closed = std::move(on_closed);
  state_->wait_readable();
}

void ControlChannel::raise_limit(std::size_t frame_limit) {
  state_->reader.raise_limit(frame_limit);
}

void ControlChannel::batch_sends() {
  state_->batches = true;
}

void ControlChannel::send(Term term, const wire::Message& message) {
  const auto keep = state_;
  keep->send(term, message);
}

void ControlChannel::send_at_leisure(Term term, const wire::Message& message) {
  const auto keep = state_;
  keep->send_at_leisure(term, message);
}

void ControlChannel::close_after_sending() {
  state_->on_closed = nullptr;
  state_->farewell = true;
  if (!state_->waiting_writable) state_->flush();
}

void ControlChannel::close() {
  state_->on_closed = nullptr;
  state_->stream.close();
}

const Endpoint& ControlChannel::remote() const {
  return state_->stream.remote();
}

bool ControlChannel::offer_memory() {
  return state_->stream.offer_memory();
}

std::pair<Stream, std::vector<std::byte>> ControlChannel::release() {
  state_->released = true;
  return {std::move(state_->stream), state_->reader.take_rest()};
}

}  // namespace pccl::net
