// A master among peers that say anything at any time, over connections that come and go. It must
// not crash, speak to nobody who is not there, number verdicts in order, and keep its state
// bounded.
#include <array>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "base/limits.hpp"
#include "base/rng.hpp"
#include "membership/master_machine.hpp"
#include "message_from_input.hpp"

namespace {

using namespace pccl;
using namespace pccl::membership;
using fuzz::Input;
using fuzz::require;

using Bytes = std::vector<std::byte>;

class MasterUnderFuzz {
 public:
  explicit MasterUnderFuzz(Input& input) : input_(input) {}

  void run() {
    for (std::size_t peers = input_.below(3); peers > 0; --peers) come_back();
    for (std::size_t peers = input_.below(6); peers > 0; --peers) join();
    for (int events = 0; events < 400 && !input_.empty(); ++events) {
      one_event();
      check_state();
    }
  }

 private:
  struct Peer {
    Group group;
    PeerId id;
    Epoch proposed, installed;
    VerdictNumber verdict;
    std::set<OpKey> decided;
    bool came_back = false;  // with numbers of its own
  };

  void one_event() {
    switch (input_.below(13)) {
      case 0:
        return open();
      case 1:
        return close();
      case 2:
        return tick();
      case 3:
        return greet();
      case 4:
        return links_stand();
      case 5:
        return everybody_calls(std::array{wire::CallKind::update_topology,
                                          wire::CallKind::peers_pending,
                                          wire::CallKind::optimize_topology}[input_.below(3)]);
      case 6:
        return op_of_some_member();
      case 7:
        return come_back();
      case 8:
        return measure();
      case 9:
        return solve();
      default:
        return any_frame();
    }
  }

  void open() {
    const Connection connection{next_connection_++};
    open_.insert(connection);
    const auto last = static_cast<std::uint8_t>(input_.below(3));
    step(ConnectionOpened{connection, {false, {10, 0, 0, last}}});
  }
  void close() {
    const auto connection = some_connection();
    if (!connection) return;
    open_.erase(*connection);
    step(ConnectionClosed{*connection, "closed"});
  }
  void tick() {
    const std::size_t late_ms = input_.below(2) == 0 ? 0 : input_.below(256) * 40;
    if (wake_at_) now_ = *wake_at_ + std::chrono::milliseconds(late_ms);
    step(TimePassed{});
  }
  void greet() {
    open();
    const Connection connection{next_connection_ - 1};
    const Group group{static_cast<std::uint32_t>(input_.below(3))};
    peers_[connection].group = group;
    frame(connection, wire::Hello{.group = group, .p2p_port = 1}, Term{});
  }
  // After a restart, as the peer says; with whatever it knows in between.
  void come_back() {
    open();
    const Connection connection{next_connection_ - 1};
    const PeerId self{input_.below(4) + 1, 0};
    peers_[connection].came_back = true;
    const Group group{static_cast<std::uint32_t>(input_.below(2))};
    frame(connection, wire::Resume{.group = group, .peer = self},
          Term{input_.below(8) == 0 ? 7 + input_.below(3) : 3});
    const Term now = machine_.term();
    fuzz::World world{Epoch{4 + input_.below(2)}, {}};
    for (std::uint64_t peer = 1; peer <= 4; ++peer) world.peers.push_back({peer, 0});
    for (std::size_t said = input_.below(6); said > 0; --said)
      frame(connection, fuzz::MessageSource(input_, world).message(), now);
    wire::ResumeEnd end{
        .run = Term{2}, .epoch = world.epoch, .verdict = VerdictNumber{input_.below(3)}};
    for (std::uint64_t peer = 1; peer <= 1 + input_.below(4); ++peer)
      end.ring.push_back({{peer, 0}, {}});
    frame(connection, end, now);
  }
  void links_stand() {
    const auto peers = peers_;
    for (const auto& [connection, peer] : peers)
      if (open_.contains(connection) && peer.proposed != Epoch{})
        frame(connection, wire::LinksReady{peers_[connection].proposed}, machine_.term());
  }
  void join() {
    greet();
    everybody_calls(wire::CallKind::update_topology);
    links_stand();
  }
  void op_of_some_member() {
    const auto connection = some_connection();
    if (!connection) return;
    const std::size_t choice = input_.below(8);
    const OpKey op{peers_[*connection].installed, Tag{choice % 2}, Launch{0}};
    constexpr wire::OpDescriptor star{4, DataType::uint8, RedOp::sum, wire::Algorithm::star};
    constexpr wire::OpDescriptor ring{9999, DataType::uint8, RedOp::sum, wire::Algorithm::ring};
    if (choice < 4) return frame(*connection, wire::OpBegin{op, star, Bytes(4)}, machine_.term());
    if (choice < 6) return frame(*connection, wire::OpBegin{op, ring, {}}, machine_.term());
    frame(*connection, wire::OpDone{op}, machine_.term());
  }
  // What was asked of somebody, in whatever way it ended; anybody may say so.
  void measure() {
    const auto connection = some_connection();
    if (!connection || wanted_.empty()) return;
    const wire::Token token = wanted_[input_.below(wanted_.size())];
    const auto fault = static_cast<wire::LinkFault>(input_.below(wire::link_fault_count));
    frame(*connection, wire::PathMeasured{token, input_.below(3) * 1000, 7, fault, {}},
          machine_.term());
  }
  // The question may be an old one by now.
  void solve() {
    if (!question_) return;
    RingsSolved solved{question_->question, {}};
    for (const auto& [group, qualities] : question_->groups)
      if (input_.below(8) != 0) solved.rings[group] = plan::best_ring(qualities);
    step(solved);
  }
  void everybody_calls(wire::CallKind what) {
    const auto peers = peers_;
    for (const auto& [connection, peer] : peers)
      if (open_.contains(connection) && peer.installed != Epoch{})
        frame(connection, wire::Call{CallId{1}, what}, machine_.term());
  }
  void any_frame() {
    const auto connection = some_connection();
    if (!connection) return;
    fuzz::World world;
    if (const auto peer = peers_.find(*connection); peer != peers_.end())
      world.epoch = std::max(peer->second.installed, peer->second.proposed);
    for (const auto& [other, peer] : peers_)
      if (peer.id) world.peers.push_back(peer.id);
    const wire::Message message = fuzz::MessageSource(input_, world).message();
    frame(*connection, message, input_.below(16) == 0 ? Term{9} : machine_.term());
  }
  void frame(Connection connection, const wire::Message& message, Term of) {
    step(FrameReceived{connection, {of, message}});
  }
  std::optional<Connection> some_connection() {
    if (open_.empty()) return std::nullopt;
    auto at = open_.begin();
    std::advance(at, static_cast<std::ptrdiff_t>(input_.below(open_.size())));
    return *at;
  }

  void step(const MasterEvent& event) {
    std::set<Connection> closed;
    for (const MasterEffect& effect : machine_.step(event, now_)) {
      if (const auto* send = std::get_if<Send>(&effect)) {
        require(open_.contains(send->connection), "sends only to open connections");
        sent(send->connection, send->message);
      } else if (const auto* close = std::get_if<Close>(&effect)) {
        require(close->connection.value < next_connection_, "closes only what was opened");
        open_.erase(close->connection);
        require(closed_.insert(close->connection).second, "closes once");
      } else if (const auto* wake = std::get_if<WakeAt>(&effect)) {
        require(wake->at > now_, "wakes in the future");
        wake_at_ = wake->at;
      } else if (const auto* solve = std::get_if<SolveRings>(&effect)) {
        question_ = *solve;
      }
    }
  }
  void sent(Connection connection, const wire::Message& message) {
    std::vector<std::byte> bytes;
    wire::encode(bytes, machine_.term(), message);
    require(bytes.size() <= limits::control_frame_bytes + wire::frame_overhead_bytes,
            "a frame fits the limit of whoever reads it");
    std::string why;
    require(wire::decode(std::span(bytes).subspan(wire::length_bytes), why).has_value(),
            "a frame is well-formed");
    Peer& peer = peers_[connection];
    if (const auto* welcome = std::get_if<wire::Welcome>(&message)) peer.id = welcome->peer;
    if (const auto* wanted = std::get_if<wire::PathWanted>(&message)) {
      wanted_.push_back(wanted->token);
      require(wanted->other.peer != peer.id, "a path leads to somebody else");
    }
    if (const auto* proposed = std::get_if<wire::EpochProposed>(&message)) {
      require(proposed->epoch > peer.proposed, "proposals rise");
      peer.proposed = proposed->epoch;
      if (proposed->reason == wire::EpochReason::recovery) enter(peer, proposed->epoch);
      std::set<PeerId> members;
      for (const wire::Member& member : proposed->ring) members.insert(member.peer);
      require(members.size() == proposed->ring.size() && members.contains(peer.id),
              "each member is once in the ring, and only members hear of it");
    }
    if (const auto* installed = std::get_if<wire::EpochInstalled>(&message)) {
      require(installed->epoch == peer.proposed || peer.came_back,
              "installs what was proposed last");
      if (installed->epoch != peer.installed) enter(peer, installed->epoch);
    }
    if (const auto* verdict = std::get_if<wire::OpVerdict>(&message)) {
      require(verdict->op.epoch == peer.installed || peer.came_back,
              "verdicts are of the epoch in force");
      require(verdict->number == peer.verdict.next() || peer.came_back,
              "verdicts are numbered in order");
      peer.verdict = verdict->number;
    }
  }
  static void enter(Peer& peer, Epoch epoch) {
    require(epoch > peer.installed, "epochs rise");
    peer.installed = epoch;
    peer.verdict = {};
  }

  void check_state() {
    std::size_t members = 0;
    for (const auto& [group, view] : machine_.groups()) {
      const std::set<PeerId> distinct(view.ring.begin(), view.ring.end());
      require(distinct.size() == view.ring.size(), "each member is once in its ring");
      require(view.open_ops <= limits::ops_in_flight * view.ring.size() * 4, "ops are bounded");
      members += view.ring.size();
    }
    const auto counts = machine_.counts();
    require(counts.global_world_size == members, "the accepted are the members");
    require(members + machine_.pending_peers() <= open_.size(), "peers have a connection");
    require(counts.largest_group_world_size <= members, "no group is larger than the run");
  }

  static constexpr Term term{7};
  Input& input_;
  Rng rng_{1};
  Instant now_{std::chrono::hours(1)};
  std::optional<Instant> wake_at_;
  MasterMachine machine_{{.term = term, .random = [this] { return rng_.next(); }}};
  std::uint64_t next_connection_ = 1;
  std::set<Connection> open_, closed_;
  std::vector<wire::Token> wanted_;  // measurements
  std::optional<SolveRings> question_;
  std::map<Connection, Peer> peers_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(data, size);
  MasterUnderFuzz(input).run();
  return 0;
}
