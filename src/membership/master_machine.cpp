#include "membership/master_machine.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/limits.hpp"
#include "base/mutant.hpp"

namespace pccl::membership {

MasterEffects MasterMachine::step(const MasterEvent& event, Instant now) {
  now_ = now;
  if (!opens_) be_born();
  if (next_tick_ && now_ > *next_tick_ + 2 * heartbeat_interval()) wake_up();
  std::visit([this](const auto& what) { on(what); }, event);
  settle_when_due();
  continue_optimization();
  do {
    remove_broken_cohorts();
    evaluate_calls();
  } while (!broken_cohorts_.empty());
  forget_empty_groups();
  if (!next_tick_) {
    next_tick_ = now_ + heartbeat_interval();
    wake_in_time();
  }
  return std::exchange(effects_, {});
}

// A life that began with a recollection of members gives these as long as it would give any silent
// peer. One of nobody may be out of date: the grace holds all the same.
void MasterMachine::be_born() {
  const auto& before = settings_.recollection;
  if (before && !before->members.empty())
    settings_.grace = std::max(settings_.grace, settings_.peer_timeout);
  opens_ = now_ + settings_.grace;
}

// A run that is being taken up again is remembered as it was.
std::optional<Recollection> MasterMachine::take_recollection() {
  if (resumption_ || !std::exchange(to_remember_, false)) return std::nullopt;
  return Recollection{settings_.term, run_, accepted_peers()};
}

// Whoever has come back meanwhile may wait in the sockets behind this event.
void MasterMachine::wake_up() {
  woke_ = now_;
  if (resumption_) resumption_->deadline = now_ + settings_.peer_timeout;
  if (*opens_ > *next_tick_ - heartbeat_interval()) opens_ = now_ + settings_.grace;
}

void MasterMachine::wake_in_time() {
  effects_.push_back(WakeAt{now_ < *opens_ ? std::min(*opens_, *next_tick_) : *next_tick_});
}

void MasterMachine::on(const ConnectionOpened& event) {
  // A flood from one address pushes out its own oldest connection, not a stranger's.
  std::size_t of_address = 0;
  Connection oldest = event.connection, oldest_of_address = event.connection;
  for (const auto& [connection, who] : unintroduced_) {
    oldest = std::min(oldest, connection);
    if (who.from != event.from) continue;
    ++of_address;
    oldest_of_address = std::min(oldest_of_address, connection);
  }
  if (of_address >= limits::unintroduced_per_address)
    refuse(oldest_of_address,
           "too many connections from your address have not introduced themselves");
  else if (unintroduced_.size() >= limits::unintroduced_in_total)
    refuse(oldest, "too many connections have not introduced themselves");
  unintroduced_[event.connection] = {event.from, now_ + limits::handshake_deadline};
}

void MasterMachine::on(const FrameReceived& event) {
  const auto known = by_connection_.find(event.connection);
  if (known == by_connection_.end()) {
    if (!unintroduced_.contains(event.connection)) return;  // closed while this was on its way
    if (!may_register(event.connection, event.frame.message)) return;
    if (const auto* resume = std::get_if<wire::Resume>(&event.frame.message))
      return resume_peer(event.connection, *resume, event.frame.term);
    return greet(event.connection, event.frame.message);
  }
  Peer& peer = peers_.at(known->second);
  if (event.frame.term != settings_.term)
    return remove(peer.id, fmt::format("protocol error: a {} message of term {} in term {}",
                                       wire::name_of(wire::kind_of(event.frame.message)),
                                       event.frame.term.value, settings_.term.value));
  peer.heard = now_;
  if (resumption_ && resumption_->reports.contains(peer.id))
    return on_report(peer, event.frame.message);
  on_frame(peer, event.frame.message);
}

void MasterMachine::on_frame(Peer& peer, const wire::Message& message) {
  if (const auto* beat = std::get_if<wire::Heartbeat>(&message)) {
    if (peer.accepted) {
      peer.epoch_seen = std::max(peer.epoch_seen, beat->epoch);
      if (beat->epoch == groups_.at(peer.group).epoch)
        peer.verdict_seen = std::max(peer.verdict_seen, beat->verdict);
      tell_watermark(groups_.at(peer.group));
      hear_progress(peer, beat->progress);
    }
    if (!beat->probe) return;
    const PeerId id = peer.id;
    resolve_suspicions(peer);
    if (const Peer* const alive = find(id)) hear_of_holder(*alive);
    return;
  }
  if (const auto* call = std::get_if<wire::Call>(&message)) return on_call(peer, *call);
  if (const auto* ready = std::get_if<wire::LinksReady>(&message))
    return on_links_ready(peer, *ready);
  if (const auto* failed = std::get_if<wire::LinkFailed>(&message))
    return on_link_failed(peer, *failed);
  if (const auto* begin = std::get_if<wire::OpBegin>(&message)) return on_op_begin(peer, *begin);
  if (const auto* done = std::get_if<wire::OpDone>(&message)) return on_op_done(peer, *done);
  if (const auto* offer = std::get_if<wire::SyncOffer>(&message))
    return on_sync_offer(peer, *offer);
  if (const auto* done = std::get_if<wire::SyncDone>(&message)) return on_sync_done(peer, *done);
  if (const auto* described = std::get_if<wire::StateDescribed>(&message))
    return on_state_described(peer, *described);
  if (const auto* measured = std::get_if<wire::PathMeasured>(&message))
    return on_path_measured(peer, *measured);
  if (std::holds_alternative<wire::Leave>(message)) {
    peer.leaves = true;
    return remove(peer.id, "it left the run", false);
  }
  remove(peer.id, fmt::format("protocol error: a peer does not send {} messages",
                              wire::name_of(wire::kind_of(message))));
}

void MasterMachine::on(const ConnectionClosed& event) {
  unintroduced_.erase(event.connection);
  const auto known = by_connection_.find(event.connection);
  if (known != by_connection_.end())
    remove(known->second,
           fmt::format("its connection to the master ended ({}), {}", event.why,
                       last_seen(peers_.at(known->second))),
           false);
}

void MasterMachine::on(const TimePassed&) {
  if (!next_tick_) return;
  if (now_ < *next_tick_) return wake_in_time();
  // A master whose own loop did not run (SIGSTOP, a paused virtual machine) has heard nobody: what
  // waits in its sockets comes first.
  const bool overslept = now_ > *next_tick_ + 2 * heartbeat_interval();
  next_tick_ = now_ + heartbeat_interval();
  wake_in_time();
  if (overslept) {
    for (auto& [id, peer] : peers_) peer.heard = now_;
    for (auto& [group, state] : groups_) {
      if (state.linking) state.linking->deadline = now_ + 3 * settings_.peer_timeout;
      if (state.sync && state.sync->describing)
        state.sync->describing = now_ + settings_.peer_timeout;
      if (!state.sync) continue;
      for (auto& [id, stuck] : state.sync->stuck) stuck.deadline = now_ + settings_.peer_timeout;
    }
    for (auto& [id, peer] : peers_) peer.progressed = now_;
    if (optimization_)
      for (auto& [token, measurement] : optimization_->open)
        measurement.deadline = now_ + 3 * settings_.peer_timeout;
  } else {
    close_overdue();
    mend_rings();
    close_overdue_linking();
    close_overdue_descriptions();
    close_overdue_fetches();
    close_overdue_measurements();
    judge_stragglers();
  }
  for (const auto& [id, peer] : peers_) {
    const auto group = groups_.find(peer.group);
    const bool member = peer.accepted && group != groups_.end();
    send(peer, member ? heartbeat(group->second, false) : wire::Heartbeat{});
  }
}

void MasterMachine::close_overdue() {
  std::vector<PeerId> silent;
  if (!mutant(Mutant::frozen_peer_kept))
    for (const auto& [id, peer] : peers_)
      if (now_ - peer.heard > settings_.peer_timeout) silent.push_back(id);
  for (const PeerId id : silent)
    if (const Peer* peer = find(id))
      remove(id, fmt::format("it sent no heartbeat for {:.1f} s, {}", seconds(now_ - peer->heard),
                             last_seen(*peer)));
  std::vector<Connection> overdue;
  for (const auto& [connection, who] : unintroduced_)
    if (now_ > who.deadline) overdue.push_back(connection);
  for (const Connection connection : overdue) refuse(connection, "no hello in time");
}

bool MasterMachine::may_register(Connection connection, const wire::Message& greeting) {
  const auto no = [&](std::string why) {
    refuse(connection, std::move(why));
    return false;
  };
  const auto* const hello = std::get_if<wire::Hello>(&greeting);
  const auto* const resume = std::get_if<wire::Resume>(&greeting);
  if ((hello == nullptr && resume == nullptr) ||
      (hello != nullptr ? hello->magic : resume->magic) != wire::magic)
    return no("protocol error: the first message of a peer is a hello");
  const std::uint16_t version = hello != nullptr ? hello->version : resume->version;
  if (version != wire::protocol_version)
    return no(
        fmt::format("protocol version {} is not the master's {}", version, wire::protocol_version));
  if (peers_.size() >= limits::peers)
    return no(fmt::format("{} peers are the limit", limits::peers));
  const IpAddress from = unintroduced_.at(connection).from;
  for (const auto& [id, peer] : peers_)
    if (peer.p2p.address.is_loopback() != from.is_loopback())
      return no(fmt::format(
          "{} cannot join a run with {}: loopback and other addresses do not mix, since "
          "they cannot reach each other",
          to_string(from), peer.name()));
  return true;
}

void MasterMachine::greet(Connection connection, const wire::Message& message) {
  const auto& hello = std::get<wire::Hello>(message);
  PeerId id;
  do id = {settings_.random(), settings_.random()};
  while (!id || peers_.contains(id));
  register_peer(connection, id, hello.group, {hello.p2p_port, hello.state_port});
  peers_.at(id).formerly = hello.formerly;
  peers_.at(id).cohort = {hello.cohort, hello.cohort_size};
}

void MasterMachine::register_peer(Connection connection, PeerId id, Group group, Ports ports) {
  const IpAddress from = unintroduced_.at(connection).from;
  unintroduced_.erase(connection);
  Peer peer;
  peer.id = id;
  peer.connection = connection;
  peer.group = group;
  peer.p2p = {from, ports.p2p};
  peer.state = {from, ports.state};
  peer.heard = peer.progressed = now_;
  by_connection_[connection] = peer.id;
  note(fmt::format("{} registers for group {}", peer.name(), peer.group.value));
  const auto timeout_ms =
      std::chrono::duration_cast<std::chrono::milliseconds>(settings_.peer_timeout).count();
  send(peer, wire::Welcome{peer.id, static_cast<std::uint32_t>(timeout_ms)});
  peers_.emplace(peer.id, std::move(peer));
}

void MasterMachine::close(Connection connection) {
  effects_.push_back(Close{connection});
}

void MasterMachine::refuse(Connection connection, std::string why) {
  note(fmt::format("refuses connection {}: {}", connection.value, why));
  unintroduced_.erase(connection);
  effects_.push_back(Send{connection, wire::Refused{std::move(why)}});
  close(connection);
}

void MasterMachine::remove(PeerId id, const std::string& why, bool tell) {
  const auto found = peers_.find(id);
  if (found == peers_.end()) return;
  const Peer peer = found->second;
  note(fmt::format("removes {}: {}", peer.name(), why));
  if (tell) send(peer, wire::Removed{why});
  close(peer.connection);
  by_connection_.erase(peer.connection);
  peers_.erase(found);
  forget_paths(peer.group);
  someone_left_ = true;
  to_remember_ = to_remember_ || peer.accepted;
  removed_.emplace_back(id, why);
  if (removed_.size() > limits::remembered_removals) removed_.pop_front();
  if (resumption_) resumption_->reports.erase(id);
  const std::string reason = fmt::format("{} was lost: {}", peer.name(), why);
  if (peer.accepted && peer.cohort.id != 0 && !peer.leaves)
    broken_cohorts_.try_emplace(peer.cohort.id, reason);
  if (peer.accepted) {
    recover(peer.group, reason);
    if (const auto group = groups_.find(peer.group); group != groups_.end())
      sync_goes_on_without_the_lost(group->second);
  } else if (admission_ && admission_->erase(id) > 0) {
    std::set<Group> affected = send_back_incomplete_cohorts();
    affected.insert(peer.group);
    for (const Group group : affected) propose_admission(group);
    continue_admission();
  }
}

wire::RunCounts MasterMachine::counts() const {
  wire::RunCounts counts;
  std::map<Group, std::uint32_t> sizes;
  for (const auto& [id, peer] : peers_)
    if (peer.accepted || mutant(Mutant::pending_counted_as_members)) {
      ++counts.global_world_size;
      ++sizes[peer.group];
    }
  counts.distinct_groups = static_cast<std::uint32_t>(sizes.size());
  for (const auto& [group, size] : sizes)
    counts.largest_group_world_size = std::max(counts.largest_group_world_size, size);
  return counts;
}

std::map<Group, MasterMachine::GroupView> MasterMachine::groups() const {
  std::map<Group, GroupView> views;
  for (const auto& [group, state] : groups_)
    if (!state.ring.empty())
      views[group] = {state.epoch,      state.ring,       !state.linking,
                      state.ops.size(), watermark(state), state.history.next};
  return views;
}

std::size_t MasterMachine::pending_peers() const {
  return static_cast<std::size_t>(std::count_if(
      peers_.begin(), peers_.end(), [](const auto& entry) { return !entry.second.accepted; }));
}

std::string MasterMachine::Peer::name() const {
  return fmt::format("peer {} ({})", short_name(id), to_string(p2p));
}

wire::Token MasterMachine::random_token() const {
  wire::Token token{};
  for (std::size_t octet = 0; octet < token.size(); octet += 8) {
    const std::uint64_t random = settings_.random();
    for (std::size_t byte = 0; byte < 8; ++byte)
      token[octet + byte] = static_cast<std::uint8_t>(random >> (8 * byte));
  }
  return token;
}

MasterMachine::Peer* MasterMachine::find(PeerId id) {
  const auto found = peers_.find(id);
  return found == peers_.end() ? nullptr : &found->second;
}

const MasterMachine::Peer* MasterMachine::find(PeerId id) const {
  const auto found = peers_.find(id);
  return found == peers_.end() ? nullptr : &found->second;
}

std::vector<PeerId> MasterMachine::accepted_peers() const {
  std::vector<PeerId> accepted;
  for (const auto& [id, peer] : peers_)
    if (peer.accepted) accepted.push_back(id);
  return accepted;
}

void MasterMachine::send(const Peer& peer, wire::Message message) {
  effects_.push_back(Send{peer.connection, std::move(message)});
}

}  // namespace pccl::membership
