// A MasterMachine on a bench: connections by number, what was sent to each, and helpers that bring
// it to where a test begins.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/rng.hpp"
#include "membership/master_machine.hpp"

namespace pccl::membership::test {

inline constexpr Term bench_term{7};
inline constexpr Duration peer_timeout = std::chrono::seconds(3);

IpAddress address(std::uint8_t last);  // 10.0.0.last
IpAddress loopback();

class MasterBench {
 public:
  explicit MasterBench(Duration grace = Duration{0}) : MasterBench(Duration{0}, false, grace) {
    if (grace > Duration{0}) step(TimePassed{});  // its life begins
  }
  explicit MasterBench(const Recollection& before)
      : MasterBench(Duration{0}, false, std::chrono::seconds(1), before) {
    step(TimePassed{});
  }
  MasterBench(Duration straggler_timeout, bool remove_stragglers, Duration grace = Duration{0},
              const std::optional<Recollection>& before = std::nullopt)
      : machine_({.term = bench_term,
                  .peer_timeout = peer_timeout,
                  .grace = grace,
                  .recollection = before,
                  .random = [this] { return rng_.next(); },
                  .straggler_timeout = straggler_timeout,
                  .remove_stragglers = remove_stragglers,
                  .op_records = true}) {}

  // ---- events
  std::uint64_t open(const IpAddress& from = address(1));
  void frame(std::uint64_t connection, const wire::Message& message, Term term = bench_term);
  void close(std::uint64_t connection);
  void tick();                   // at the instant that the machine has asked for
  void pass(Duration duration);  // tick by tick, in silence
  // The same with all but some peers alive: they send heartbeats.
  void pass_alive(Duration duration, const std::set<std::uint64_t>& silent = {});
  void oversleep(Duration duration);  // one late tick

  // ---- where tests begin
  std::uint64_t greet(Group group = {}, const IpAddress& from = address(1));  // pending
  // One more accepted peer. Everybody opens its links at once.
  std::uint64_t join(Group group = {}, const IpAddress& from = address(1));
  std::vector<std::uint64_t> join_many(std::size_t count, Group group = {});
  void call(wire::CallKind what, const std::vector<std::uint64_t>& connections);
  void call_update(const std::vector<std::uint64_t>& connections);
  void links_stand();  // everybody answers the newest proposal it has

  // ---- what came out
  template <typename Message>
  std::vector<Message> sent(std::uint64_t connection) const {
    std::vector<Message> found;
    if (const auto messages = sent_.find(connection); messages != sent_.end())
      for (const wire::Message& message : messages->second)
        if (const auto* match = std::get_if<Message>(&message)) found.push_back(*match);
    return found;
  }
  template <typename Message>
  Message last(std::uint64_t connection) const {
    const auto found = sent<Message>(connection);
    return found.empty() ? Message{} : found.back();
  }
  const std::vector<wire::Message>& everything_sent(std::uint64_t connection) const {
    return sent_.at(connection);
  }
  bool closed(std::uint64_t connection) const { return closed_.contains(connection); }
  bool is_open(std::uint64_t connection) const {
    return sent_.contains(connection) && !closed(connection);
  }
  // The reason of a Refused or Removed; empty when there was none.
  std::string refusal(std::uint64_t connection) const;
  std::string removal(std::uint64_t connection) const;
  PeerId id(std::uint64_t connection) const;
  std::string noted(const std::string& part) const;  // the last note with it
  void forget_what_was_sent();

  MasterMachine& machine() { return machine_; }
  MasterMachine::GroupView group(Group which = {}) { return machine_.groups().at(which); }
  Epoch epoch(Group which = {}) { return group(which).epoch; }
  Instant now() const { return now_; }
  // The question about rings that has been asked and not been answered yet.
  const std::optional<SolveRings>& question() const { return question_; }
  void answer_question();
  void solved(const RingsSolved& answer) { step(answer); }
  const Recollection& remembered() const { return remembered_; }

 private:
  void step(const MasterEvent& event);

  Duration grace_;
  Rng rng_{1};
  Instant now_{std::chrono::hours(1)};
  std::optional<Instant> wake_at_;
  MasterMachine machine_;
  std::vector<std::string> notes_;
  std::optional<SolveRings> question_;
  Recollection remembered_;
  std::uint64_t next_connection_ = 1;
  std::map<std::uint64_t, std::vector<wire::Message>> sent_;
  std::map<std::uint64_t, PeerId> ids_;
  std::map<std::uint64_t, Epoch> proposed_;  // newest
  std::set<std::uint64_t> accepted_;
  std::set<std::uint64_t> closed_;
};

// One message of each kind, plausible in itself.
std::vector<wire::Message> one_of_each_kind(Epoch epoch = Epoch{1});

}  // namespace pccl::membership::test
