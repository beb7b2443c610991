#include "node/state_links.hpp"

#include <fmt/format.h>

#include <utility>

#include "base/limits.hpp"

namespace pccl::node {

namespace {
constexpr std::uint16_t state_port = 48149;  // CCOIP_PROTOCOL_PORT_SHARED_STATE
constexpr int failures_tolerated = 3;        // of one holder in one sync
}  // namespace

StateLinks::StateLinks(net::Loop& loop, Duration peer_timeout, Callbacks callbacks)
    : loop_(loop), peer_timeout_(peer_timeout), callbacks_(std::move(callbacks)) {}

StateLinks::~StateLinks() = default;

Outcome StateLinks::listen(bool v6) {
  return door_.listen(v6, state_port);
}

void StateLinks::move(const membership::MoveState& move) {
  const bool elected_anew = !wanted_ || wanted_->elected.token != move.elected.token;
  wanted_ = move;
  door_.ask_again();
  if (!move.fetch) return;
  std::map<PeerId, Source> kept;
  for (const wire::StateHolder& holder : move.elected.holders) {
    if (auto source = sources_.extract(holder.peer))
      kept.insert(std::move(source));
    else
      kept[holder.peer].address = holder.state;
  }
  std::map<PeerId, Source> dropped = std::exchange(sources_, std::move(kept));
  for (const auto& [holder, source] : dropped)
    callbacks_.on_source_lost(holder, "it holds the elected content no more", true);
  for (const wire::StateHolder& holder : move.elected.holders) {
    const auto source = sources_.find(holder.peer);
    if (source == sources_.end()) continue;
    // It may not have heard of the election before, which a master's restart cut short.
    if (elected_anew && !source->second.lane)
      source->second = Source{.address = source->second.address};
    if (!source->second.dialer && !source->second.lane && source->second.failures == 0)
      dial(holder.peer);
  }
}

void StateLinks::close() {
  wanted_.reset();
  sources_.clear();
  receivers_.clear();
}

void StateLinks::kick() {
  for (const auto& [holder, source] : sources_)
    if (source.lane) source.lane->kick();
  for (const auto& [id, lane] : receivers_) lane->kick();
}

// ---- to the holders
// ------------------------------------------------------------------------------------

void StateLinks::dial(PeerId holder) {
  Source& source = sources_.at(holder);
  source.again.reset();
  source.deadline = net::Loop::now() + peer_timeout_;
  source.dialer = std::make_unique<net::Dialer>(
      loop_, source.address, peer_timeout_,
      [this, holder](net::FileDescriptor socket, const std::string& why) {
        if (socket)
          greet(holder, std::move(socket));
        else
          source_failed(holder, why);
      });
}

void StateLinks::greet(PeerId holder, net::FileDescriptor socket) {
  Source& source = sources_.at(holder);
  source.channel = std::make_unique<net::ControlChannel>(
      net::Stream(loop_, std::move(socket), source.address), limits::greeting_frame_bytes);
  source.channel->start(
      [this, holder](const wire::Frame& frame) {
        if (std::holds_alternative<wire::LaneWelcome>(frame.message)) return source_ready(holder);
        const auto* const refused = std::get_if<wire::Refused>(&frame.message);
        source_failed(holder, refused != nullptr ? "it refuses to serve: " + refused->why
                                                 : "it does not keep the protocol");
      },
      [this, holder](const std::string& why) {
        source_failed(holder, "it closed the connection during the handshake (" + why + ")");
      });
  source.channel->send(Term{},
                       wire::HolderHello{.token = wanted_->elected.token, .from = wanted_->self});
}

void StateLinks::source_ready(PeerId holder) {
  Source& source = sources_.at(holder);
  source.deadline.reset();
  source.dialer.reset();
  auto [stream, early] = source.channel->release();
  source.channel.reset();
  source.lane = std::make_unique<net::BulkLane>(
      std::move(stream), std::move(early), callbacks_.on_source(holder),
      net::BulkLane::Callbacks{callbacks_.on_progress, [this, holder](const std::string& why) {
                                 source_failed(holder, why);
                               }});
  source.lane->start();
  callbacks_.on_progress();  // there is something to ask it for
}

void StateLinks::source_failed(PeerId holder, const std::string& why) {
  const auto found = sources_.find(holder);
  if (found == sources_.end()) return;
  Source& source = found->second;
  // What has failed may be what is calling.
  const Source failed =
      std::exchange(source, Source{.address = source.address, .failures = source.failures + 1});
  const bool for_good = source.failures >= failures_tolerated;
  if (!for_good) source.again = net::Loop::now() + peer_timeout_ / 6 * source.failures;
  callbacks_.on_source_lost(holder, why, for_good);
}

void StateLinks::drop_source(PeerId holder, const std::string& why) {
  source_failed(holder, why);
}

// ---- to the fetchers
// -----------------------------------------------------------------------------------

void StateLinks::judge(Door::VisitorId id, const wire::Message& greeting) {
  const auto* const hello = std::get_if<wire::HolderHello>(&greeting);
  if (hello == nullptr || hello->magic != wire::magic || hello->version != wire::protocol_version)
    return door_.refuse(id,
                        "protocol error: the first message at this door is a holder hello of the "
                        "same protocol version");
  // Of the sync that is about to begin here, or of one that is over: the deadline tells.
  if (!wanted_ || hello->token != wanted_->elected.token) return;
  if (receivers_.size() >= limits::peers) return door_.refuse(id, "too many fetch from here");
  admit(id);
}

void StateLinks::admit(Door::VisitorId id) {
  auto [stream, early] = door_.admit(id);
  auto& lane = receivers_[id];
  lane = std::make_unique<net::BulkLane>(
      std::move(stream), std::move(early), callbacks_.on_receiver(id),
      net::BulkLane::Callbacks{callbacks_.on_progress,
                               [this, id](const std::string&) { receiver_failed(id); }});
  lane->start();
}

void StateLinks::receiver_failed(ReceiverId id) {
  const auto lane = receivers_.extract(id);  // ends after the callback, which it is calling from
  if (lane) callbacks_.on_receiver_lost(id);
}

// ---- both
// ------------------------------------------------------------------------------------------------

void StateLinks::check_pings(Instant now, bool overslept) {
  door_.close_overdue(now);
  std::vector<std::pair<PeerId, std::string>> failed;
  std::vector<PeerId> again;
  for (auto& [holder, source] : sources_) {
    if (source.again && now >= *source.again) again.push_back(holder);
    if (source.deadline && now > *source.deadline)
      failed.emplace_back(holder, "the handshake was not answered in time");
    if (!source.lane) continue;
    if (overslept) source.lane->grant_fresh_deadline(now);
    if (source.lane->unanswered(now) > peer_timeout_)
      failed.emplace_back(holder,
                          fmt::format("no answer to pings for {:.1f} s", seconds(peer_timeout_)));
    else
      source.lane->ping();
  }
  for (const PeerId holder : again)
    if (sources_.contains(holder)) dial(holder);
  for (const auto& [holder, why] : failed) source_failed(holder, why);
  std::vector<ReceiverId> gone;
  for (const auto& [id, lane] : receivers_) {
    if (overslept) lane->grant_fresh_deadline(now);
    if (lane->unanswered(now) > peer_timeout_)
      gone.push_back(id);
    else
      lane->ping();
  }
  for (const ReceiverId id : gone) receiver_failed(id);
}

}  // namespace pccl::node
