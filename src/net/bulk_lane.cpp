#include "net/bulk_lane.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <utility>

#include "wire/bulk.hpp"

namespace pccl::net {

namespace {

// After this much the lane lets the loop's other work have its turn.
constexpr std::size_t bytes_per_turn = 1 << 20;

constexpr std::size_t idle_page_bytes = 64 << 10;
const std::array<std::byte, idle_page_bytes> zeros{};  // what a void op's segment is completed with
thread_local std::array<std::byte, idle_page_bytes> waste;  // where a void op's segment goes

}  // namespace

struct BulkLane::State : std::enable_shared_from_this<State> {
  State(Stream connected, std::vector<std::byte> head, LaneClient& served, Callbacks calls)
      : stream(std::move(connected)),
        early(std::move(head)),
        client(served),
        callbacks(std::move(calls)) {}

  // ---- sending

  struct Outgoing {
    wire::BulkHeader header;
    wire::BulkHeaderBytes encoded;
    std::size_t sent = 0;  // of header and payload together
    bool from_client = false;
    std::size_t size() const { return wire::bulk_header_bytes + header.payload_bytes(); }
  };

  std::optional<Outgoing> next_outgoing() {
    if (std::exchange(pong_due, false))
      return Outgoing{{.kind = wire::BulkKind::pong}, wire::encode({.kind = wire::BulkKind::pong})};
    if (std::exchange(ping_due, false))
      return Outgoing{{.kind = wire::BulkKind::ping}, wire::encode({.kind = wire::BulkKind::ping})};
    const auto header = client.next_frame();
    if (!header) return std::nullopt;
    return Outgoing{*header, wire::encode(*header), 0, true};
  }

  void write() {
    if (waiting_writable || writing || !stream.open()) return;
    writing = true;
    std::size_t moved = 0;
    while (stream.open()) {
      if (!outgoing && !(outgoing = next_outgoing())) break;
      const Transfer put = write_some();
      if (put.state == Transfer::State::closed) break;  // the reading side reports it
      if (put.state == Transfer::State::would_block) {
        wait_writable();
        break;
      }
      outgoing->sent += put.bytes;
      moved += put.bytes;
      if (outgoing->sent == outgoing->size()) {
        const Outgoing whole = *std::exchange(outgoing, std::nullopt);
        if (whole.from_client) client.frame_sent(whole.header);
      }
      if (moved >= bytes_per_turn) {
        wait_writable();
        break;
      }
    }
    writing = false;
  }

  Transfer write_some() {
    const std::size_t header_sent = std::min(outgoing->sent, wire::bulk_header_bytes);
    const auto header = std::span<const std::byte>(outgoing->encoded).subspan(header_sent);
    const std::size_t offset = outgoing->sent - header_sent;
    std::span<const std::byte> payload;
    if (offset < outgoing->header.payload_bytes()) {
      payload = client.payload(outgoing->header, offset);
      if (payload.empty())
        payload = std::span(zeros).first(
            std::min<std::size_t>(zeros.size(), outgoing->header.payload_bytes() - offset));
    }
    return header.empty() ? stream.write(payload) : stream.write(header, payload);
  }

  void wait_writable() {
    waiting_writable = true;
    stream.when_writable([weak = weak_from_this()] {
      const auto state = weak.lock();
      if (!state || state->dead) return;
      state->waiting_writable = false;
      state->write();
      if (!state->dead) state->callbacks.on_progress();
    });
  }

  // ---- receiving

  void wait_readable() {
    stream.when_readable([weak = weak_from_this()] {
      if (const auto state = weak.lock(); state && !state->dead) state->read();
    });
  }

  void read() {
    std::size_t moved = 0;
    std::string why;
    while (stream.open() && moved < bytes_per_turn) {
      const Transfer got = early.empty() ? read_some() : read_early();
      if (got.state == Transfer::State::closed) return fail(got.why);
      if (got.state == Transfer::State::would_block) break;
      heard = Loop::now();
      moved += got.bytes;
      if (!take(got.bytes, why)) return fail(why);
      if (dead) return;
    }
    if (moved > 0) callbacks.on_progress();
    if (dead) return;
    write();  // a pong, or what arrival has made ready
    if (!dead && stream.open()) wait_readable();
  }

  // The rest of the payload, and with it the next header if it has come, too; or the rest of a
  // header.
  Transfer read_some() {
    if (!incoming) return stream.read(std::span(header_bytes).subspan(header_read));
    if (const std::size_t absorbed = absorb()) return stream.take_in_memory(absorbed);
    const std::span<std::byte> into = payload_destination();
    const bool reaches_end = into.size() == incoming->payload_bytes() - payload_read;
    return reaches_end ? stream.read(into, header_bytes) : stream.read(into);
  }

  std::size_t absorb() {
    const std::span<const std::byte> here = stream.in_memory();
    if (here.empty()) return 0;
    const std::size_t rest = incoming->payload_bytes() - payload_read;
    return client.absorb(*incoming, payload_read, here.first(std::min(here.size(), rest)));
  }

  std::span<std::byte> payload_destination() {
    const std::size_t rest = incoming->payload_bytes() - payload_read;
    const std::span<std::byte> into = client.destination(*incoming, payload_read);
    return into.empty() ? std::span(waste).first(std::min(waste.size(), rest))
                        : into.first(std::min(into.size(), rest));
  }

  Transfer read_early() {
    const std::span<std::byte> into =
        incoming ? payload_destination() : std::span(header_bytes).subspan(header_read);
    const std::size_t count = std::min(into.size(), early.size());
    std::copy_n(early.begin(), count, into.begin());
    early.erase(early.begin(), early.begin() + static_cast<std::ptrdiff_t>(count));
    return {Transfer::State::moved, count, {}};
  }

  // Accounts for `bytes` that read_some() has put in place.
  bool take(std::size_t bytes, std::string& why) {
    if (incoming) {
      const std::size_t of_payload =
          std::min<std::size_t>(bytes, incoming->payload_bytes() - payload_read);
      payload_read += of_payload;
      bytes -= of_payload;
      if (payload_read == incoming->payload_bytes()) finish_frame();
      if (dead) return true;
    }
    header_read += bytes;
    if (header_read < wire::bulk_header_bytes) return true;
    header_read = 0;
    return begin_frame(why);
  }

  bool begin_frame(std::string& why) {
    const auto header =
        wire::decode_bulk(std::span<const std::byte, wire::bulk_header_bytes>(header_bytes));
    if (!header) {
      why = "protocol error: malformed bulk header";
      return false;
    }
    if (header->kind == wire::BulkKind::ping) {
      pong_due = true;
      return true;
    }
    if (header->kind == wire::BulkKind::pong) return true;
    if (!client.frame_begins(*header, why)) return false;
    incoming = header;
    payload_read = 0;
    if (header->payload_bytes() == 0) finish_frame();
    return true;
  }

  void finish_frame() {
    const wire::BulkHeader whole = *std::exchange(incoming, std::nullopt);
    client.frame_arrived(whole);
  }

  void fail(const std::string& why) {
    stream.close();
    if (const auto callback = std::exchange(callbacks.on_failed, nullptr)) callback(why);
  }

  Stream stream;
  std::vector<std::byte> early;  // read together with the handshake
  LaneClient& client;
  Callbacks callbacks;
  bool dead = false;

  std::optional<Outgoing> outgoing;
  bool writing = false, waiting_writable = false;
  bool ping_due = false, pong_due = false;

  wire::BulkHeaderBytes header_bytes{};
  std::size_t header_read = 0;
  std::optional<wire::BulkHeader> incoming;
  std::size_t payload_read = 0;
  Instant heard{};
  std::optional<Instant> pinged;  // the oldest ping since the last sign of life
};

BulkLane::BulkLane(Stream stream, std::vector<std::byte> already_read, LaneClient& client,
                   Callbacks callbacks)
    : state_(std::make_shared<State>(std::move(stream), std::move(already_read), client,
                                     std::move(callbacks))) {}

BulkLane::~BulkLane() {
  state_->dead = true;
  state_->stream.close();
}

void BulkLane::start() {
  if (state_->early.empty()) return state_->wait_readable();
  // From a callback, so that no one is told of progress or failure while they are still starting
  // lanes.
  state_->waiting_writable = true;
  state_->stream.when_writable([weak = std::weak_ptr(state_)] {
    const auto state = weak.lock();
    if (!state || state->dead) return;
    state->waiting_writable = false;
    state->read();
  });
}

void BulkLane::kick() {
  const auto keep = state_;
  keep->write();
}

void BulkLane::ping() {
  if (!state_->pinged || *state_->pinged < state_->heard) state_->pinged = Loop::now();
  state_->ping_due = true;
  kick();
}

Duration BulkLane::unanswered(Instant now) const {
  if (!state_->pinged || *state_->pinged < state_->heard) return Duration{0};
  return now - *state_->pinged;
}

bool BulkLane::has_heard() const {
  return state_->heard != Instant{};
}

Received BulkLane::received() const {
  return state_->stream.received();
}

void BulkLane::grant_fresh_deadline(Instant now) {
  if (state_->pinged) state_->pinged = now;
}

}  // namespace pccl::net
