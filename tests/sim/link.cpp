#include "sim/link.hpp"

#include <algorithm>
#include <cstring>

#include "sim/world.hpp"

namespace pccl::sim {

using namespace std::chrono_literals;

LaneStream::LaneStream(World& world, Link& link, End sender, std::size_t kernel_bytes)
    : world_(world),
      link_(link),
      sender_(sender),
      kernel_bytes_(kernel_bytes),
      pipe_(
          world.timeline, link.peer(other(sender)),
          [this] {
            return !link_.opening(other(sender_)) &&
                   world_.paths.passable(link_.peer(sender_).slot(),
                                         link_.peer(other(sender_)).slot());
          },
          [this](Piece& piece) { receive(piece); }) {}

void LaneStream::kick() {
  if (scheduled_ || blocked_) return;
  scheduled_ = true;
  link_.peer(sender_).later(world_.between(1us, 30us), [this] { pump(); });
}

void LaneStream::pump() {
  scheduled_ = false;
  if (!link_.open(sender_)) return;
  const bool moved = sending_ ? send_piece() : send_header();
  if (moved && sending_ && world_.rng.chance(0.7)) send_piece();  // in the same write
  if (!moved) return;
  link_.peer(sender_).after_work();
  kick();
}

bool LaneStream::send_header() {
  net::LaneClient* const client = link_.host(sender_).client(link_, sender_);
  if (client == nullptr || !link_.host(sender_).may_begin_frame(link_, sender_)) return false;
  blocked_ = held_bytes_ >= kernel_bytes_;
  if (blocked_) return false;
  sending_ = client->next_frame();
  if (!sending_) return false;
  sent_ = 0;
  held_bytes_ += wire::bulk_header_bytes;
  pipe_.send({*sending_, true, 0, {}}, world_.link_delay());
  if (sending_->payload_bytes() == 0) finish_sending();
  return true;
}

bool LaneStream::send_piece() {
  SimPeer& peer = link_.peer(sender_);
  const std::size_t rest = sending_->payload_bytes() - sent_;
  const std::size_t room = kernel_bytes_ - std::min(kernel_bytes_, held_bytes_);
  blocked_ = room == 0;
  if (blocked_) return false;
  net::LaneClient* const client = link_.host(sender_).client(link_, sender_);
  const auto from =
      client != nullptr ? client->payload(*sending_, sent_) : std::span<const std::byte>{};
  PCCL_REQUIRE(from.size() <= rest, "Buffers", "a payload of {} bytes where {} are due",
               from.size(), rest);
  const std::size_t most = std::min({rest, room, from.empty() ? rest : from.size()});
  const std::size_t size = world_.rng.chance(0.6) ? most : 1 + world_.rng.below(most);
  Piece piece{*sending_, false, sent_, {}};
  piece.bytes.resize(size);  // zeros when the op is void
  if (!from.empty()) {
    peer.check_touch(from.data(), size, "read");
    std::memcpy(piece.bytes.data(), from.data(), size);
  }
  sent_ += size;
  held_bytes_ += size;
  pipe_.send(std::move(piece), world_.link_delay());
  if (sent_ == sending_->payload_bytes()) finish_sending();
  return true;
}

void LaneStream::finish_sending() {
  const wire::BulkHeader whole = *sending_;
  sending_.reset();
  if (net::LaneClient* const client = link_.host(sender_).client(link_, sender_))
    client->frame_sent(whole);
}

void LaneStream::receive(Piece& piece) {
  SimPeer& peer = link_.peer(other(sender_));
  held_bytes_ -= piece.header ? wire::bulk_header_bytes : piece.bytes.size();
  if (std::exchange(blocked_, false)) kick();
  if (!link_.open(other(sender_))) return;
  net::LaneClient* const client = link_.host(other(sender_)).client(link_, other(sender_));
  if (client == nullptr) return;
  if (piece.header) {
    std::string why;
    PCCL_REQUIRE(client->frame_begins(piece.frame, why), "Honest peers keep the protocol",
                 "{} refuses a frame of {}: {}", peer.name(), link_.peer(sender_).name(), why);
  } else {
    const auto into = client->destination(piece.frame, piece.offset);
    PCCL_REQUIRE(into.empty() || into.size() >= piece.bytes.size(), "Buffers",
                 "{} bytes where {} arrive", into.size(), piece.bytes.size());
    if (!into.empty()) {
      peer.check_touch(into.data(), piece.bytes.size(), "written");
      std::memcpy(into.data(), piece.bytes.data(), piece.bytes.size());
    }
  }
  if (piece.offset + piece.bytes.size() == piece.frame.payload_bytes())
    client->frame_arrived(piece.frame);
  peer.after_work();
}

Link::Link(World& world, Side dialler, Side acceptor, unsigned lanes)
    : world_(world), dialler_(dialler), acceptor_(acceptor) {
  const std::size_t kernel_bytes = (16u << 10) << world.rng.below(4);
  for (unsigned lane = 0; lane < lanes; ++lane)
    for (const End sender : {End::dialler, End::acceptor})
      streams_[static_cast<int>(sender)].push_back(
          std::make_unique<LaneStream>(world, *this, sender, kernel_bytes));
}

void Link::open_at(End end) {
  open_[static_cast<int>(end)] = true;
  for (auto& stream : streams_[static_cast<int>(other(end))]) stream->healed();
}

void Link::kick(End sender) {
  auto& streams = streams_[static_cast<int>(sender)];
  const std::size_t first = world_.rng.below(streams.size());
  for (std::size_t n = 0; n < streams.size(); ++n) streams[(first + n) % streams.size()]->kick();
}

void Link::close(End end, const std::string& why) {
  if (closed_[static_cast<int>(end)]) return;
  closed_[static_cast<int>(end)] = true;
  open_[static_cast<int>(end)] = false;
  // What this end has written may still arrive, or a reset overtakes it.
  if (world_.rng.chance(0.5))
    for (auto& stream : streams_[static_cast<int>(end)]) stream->lose_all();
  world_.timeline.after(world_.between(100us, 20ms),
                        [this, end, why] { tell_of_close(other(end), why); });
}

void Link::tell_of_close(End end, const std::string& why) {
  if (!world_.paths.passable(peer(other(end)).slot(), peer(end).slot())) {
    close_untold_[static_cast<int>(end)] = true;
    return;
  }
  peer(end).run([this, end, why] {
    if (closed_[static_cast<int>(end)]) return;
    host(end).link_lost(*this, end, wire::LinkFault::broke, why);
  });
}

void Link::lost_pings(End end) {
  peer(end).run([this, end] {
    if (open(end))
      host(end).link_lost(*this, end, wire::LinkFault::unanswered, "no answer to pings");
  });
}

void Link::healed() {
  for (auto& streams : streams_)
    for (auto& stream : streams) stream->healed();
  for (const End end : {End::dialler, End::acceptor})
    if (std::exchange(close_untold_[static_cast<int>(end)], false))
      tell_of_close(end, "it was closed while the path was cut");
}

}  // namespace pccl::sim
