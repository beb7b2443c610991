// A peer under a master that says anything, and an application that does anything. Whatever it was
// asked ends once, and what it tells the data path to do is what the data path can do.
#include <array>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "membership/peer_machine.hpp"
#include "message_from_input.hpp"

namespace {

using namespace pccl;
using namespace pccl::membership;
using fuzz::Input;
using fuzz::require;

class PeerUnderFuzz {
 public:
  explicit PeerUnderFuzz(Input& input) : input_(input) {}

  void run() {
    for (int events = 0; events < 400 && !input_.empty(); ++events) {
      one_event();
      require(waiting_.size() == machine_.ops_in_flight(), "ops that have not ended are in flight");
      require(calls_ == (machine_.in_call() ? 1 : 0), "a call that has not ended is waited for");
    }
  }

 private:
  void one_event() {
    switch (input_.below(12)) {
      case 0:
        step(ConnectRequested{1});
        return step(MasterReached{});
      case 1:
        return from_master(wire::Welcome{self, 3000});
      case 2:
        return propose_and_install();
      case 3:
        ++calls_;
        return step(
            CallRequested{std::array{wire::CallKind::update_topology, wire::CallKind::peers_pending,
                                     wire::CallKind::optimize_topology}[input_.below(3)]});
      case 4:
      case 5:
        return launch();
      case 6:
        return finish_one();
      case 7:
        return own_event();
      case 8:
        return tick();
      default:
        return any_message();
    }
  }

  // A master that is away comes back with a newer term.
  void from_master(const wire::Message& message) {
    const bool away = machine_.master_is_away();
    const Term term = input_.below(16) == 0 ? Term{90} : away ? term_.next() : term_;
    step(MasterFrame{{term, message}});
    if (away && !machine_.master_is_away()) term_ = term;
  }
  void any_message() {
    const fuzz::World world{machine_.epoch(), {self, PeerId{2, 2}, PeerId{3, 3}}};
    from_master(fuzz::MessageSource(input_, world).message());
  }
  void propose_and_install() {
    const Epoch epoch = machine_.epoch().next();
    const auto reason = static_cast<wire::EpochReason>(input_.below(2));
    wire::EpochProposed proposed{.epoch = epoch, .reason = reason, .ring = {{self, {}}}};
    for (std::uint64_t other = input_.below(3); other > 0; --other)
      proposed.ring.push_back({PeerId{other + 1, 0}, {}});
    from_master(proposed);
    step(LinksStand{epoch});
    from_master(wire::EpochInstalled{epoch, {}});
    if (input_.below(2) == 0) step(FailureSeen{});
  }
  void launch() {
    const OpHandle handle{next_handle_++};
    const bool star = input_.below(2) == 0;
    const std::size_t bytes = star ? input_.below(16) : 0;
    waiting_[handle] = {bytes, {}};
    step(LaunchRequested{handle,
                         Tag{input_.below(3)},
                         {star ? bytes : 100'000, DataType::uint8, RedOp::sum,
                          star ? wire::Algorithm::star : wire::Algorithm::ring},
                         std::vector<std::byte>(bytes)});
  }
  void finish_one() {
    if (moving_.empty()) return;
    auto at = moving_.begin();
    std::advance(at, static_cast<std::ptrdiff_t>(input_.below(moving_.size())));
    const OpKey op = *at;
    moving_.erase(at);
    step(OpFinished{op});
  }
  void own_event() {
    const Epoch epoch{machine_.epoch().value + input_.below(3) - 1};
    switch (input_.below(7)) {
      case 0:
        step(MasterGone{"gone"});
        return step(MasterReached{});
      case 1:
        return step(ConnectGivenUp{"given up"});
      case 2:
        return step(LinksStand{epoch});
      case 3:
        return step(LinkBroken{epoch, input_.below(2) == 0,
                               static_cast<wire::LinkFault>(input_.below(3)), "broke"});
      case 4:
        return step(FailureSeen{});
      case 5:
        return step(PathJudged{});
      default:
        return step(LeaveRequested{});
    }
  }
  void tick() {
    if (wake_at_) now_ = *wake_at_ + std::chrono::milliseconds(input_.below(256) * 100);
    step(PeerTimePassed{});
  }

  void step(const PeerEvent& event) {
    for (const PeerEffect& effect : machine_.step(event, now_)) carry_out(effect);
  }

  // What PeerCore and the exchange require.
  void carry_out(const PeerEffect& effect) {
    if (const auto* start = std::get_if<StartRing>(&effect)) {
      require(start->op.epoch == epoch_, "starts in the epoch that was entered");
      require(start->world >= 2 && start->rank < start->world, "starts in a ring");
      require(waiting_.contains(start->handle), "starts what was launched");
      require(moving_.insert(start->op).second, "starts an op once");
      waiting_[start->handle].ring = start->op;
    } else if (const auto* cancel = std::get_if<CancelRing>(&effect)) {
      moving_.erase(cancel->op);
    } else if (const auto* pass = std::get_if<PassOver>(&effect)) {
      require(pass->op.epoch == epoch_, "passes over ops of the epoch that was entered");
      require(!moving_.contains(pass->op), "passes over no op that moves");
    } else if (const auto* enter = std::get_if<EnterEpoch>(&effect)) {
      require(moving_.empty(), "leaves no op behind in an older epoch");
      epoch_ = enter->epoch;
    } else if (const auto* complete = std::get_if<CompleteOp>(&effect)) {
      const auto op = waiting_.find(complete->handle);
      require(op != waiting_.end(), "ends each op once");
      const auto& ring = op->second.ring;
      require(!ring || !moving_.contains(*ring), "ends no op whose data still moves");
      require(!complete->outcome.ok() || complete->result.size() == op->second.result_bytes,
              "a result has the size of the caller's buffer");
      waiting_.erase(op);
    } else if (std::holds_alternative<CompleteCall>(effect)) {
      require(calls_-- > 0, "ends each call once");
    } else if (const auto* relink = std::get_if<Relink>(&effect)) {
      require(relink->self == machine_.self(), "links under its own name");
    } else if (const auto* wake = std::get_if<PeerWakeAt>(&effect)) {
      require(wake->at > now_, "wakes in the future");
      wake_at_ = wake->at;
    }
  }

  static constexpr PeerId self{1, 1};
  struct Waiting {
    std::size_t result_bytes = 0;
    std::optional<OpKey> ring;
  };
  Input& input_;
  Instant now_{std::chrono::hours(1)};
  std::optional<Instant> wake_at_;
  PeerMachine machine_{PeerSettings{}};
  std::uint64_t next_handle_ = 1;
  std::map<OpHandle, Waiting> waiting_;
  std::set<OpKey> moving_;
  int calls_ = 0;
  Epoch epoch_;
  Term term_{7};
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(data, size);
  PeerUnderFuzz(input).run();
  return 0;
}
