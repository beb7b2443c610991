#include "chaos/checker.hpp"

#include <algorithm>
#include <bit>
#include <utility>

#include "chaos/mix.hpp"
#include "chaos/violation.hpp"

namespace chaos {

namespace {

// Peers are never further apart than the few lines in their pipes.
constexpr std::size_t remembered_launches = 50'000;
constexpr std::uint64_t remembered_steps = 300;

std::string name_of(const std::pair<std::uint64_t, std::uint32_t>& op) {
  return "op " + std::to_string(op.second) + " of step " + std::to_string(op.first);
}

std::string peer_name(std::uint32_t peer) {
  return "peer " + std::to_string(peer);
}

}  // namespace

void Checker::read(std::uint32_t peer, std::uint32_t slot, const e2e::Line& line) {
  const Witness who{peer, line.number("seat"), line.number("t")};
  if (line.name == "launch") {
    const OpName op{line.number("step"), static_cast<std::uint32_t>(line.number("op"))};
    launches_[op].push_back({slot, line.number("n")});
    launched_at_[line.number("n")] = who.t;
    order_.push_back(line.number("n"));
  } else if (line.name == "reduced") {
    ++counts_.successes;
    fresh_.push_back({who,
                      {line.number("step"), static_cast<std::uint32_t>(line.number("op"))},
                      line.number("n"),
                      line.number("digest"),
                      slot,
                      static_cast<std::uint32_t>(line.number("mask")),
                      static_cast<std::uint32_t>(line.number("world"))});
    // Of several ops under way the one that succeeded may be awaited after the one that failed.
    const auto launched = launched_at_.find(line.number("n"));
    goes_on({who.peer, who.seat, launched == launched_at_.end() ? 0 : launched->second});
  } else if (line.name == "failed") {
    ++counts_.failures;
    failures_[line.number("n")] = who;
    const auto execution = executions_.find(line.number("n"));
    if (execution == executions_.end()) return;
    for (const Witness& witness : execution->second->witnesses)
      contradict(witness, who, name_of(execution->second->op) + " succeeded and failed");
  } else if (line.name == "connected") {
    step_in_seat_.erase(peer);
  } else if (line.name == "synced") {
    read_synced(who, line);
    goes_on(who);
  } else if (line.name == "wrong") {
    throw Violation(peer_name(peer) + " says: " + line.text);
  }
}

void Checker::read_synced(const Witness& who, const e2e::Line& line) {
  const std::uint64_t step = line.number("step"), digest = line.number("digest");
  ++counts_.syncs;
  counts_.fetches += line.number("rx") > 0 ? 1 : 0;
  counts_.newest_step = std::max(counts_.newest_step, step);
  std::uint64_t& before = step_in_seat_[who.peer];
  if (step < before)
    throw Violation(peer_name(who.peer) + " went back from revision " + std::to_string(before) +
                    " to " + std::to_string(step));
  before = step;
  auto [revision, is_new] = revisions_.try_emplace(step, Revision{digest, {}});
  if (!is_new && revision->second.digest != digest) {
    for (const Witness& holder : revision->second.holders)
      contradict(holder, who, "revision " + std::to_string(step) + " has two contents");
    ++counts_.histories;
    revisions_.erase(revision, revisions_.end());
    revision = revisions_.try_emplace(step, Revision{digest, {}}).first;
  }
  revision->second.holders.push_back(who);
  while (revisions_.begin()->first + remembered_steps < step) revisions_.erase(revisions_.begin());
}

void Checker::settle() {
  for (const Success& success : std::exchange(unsettled_, std::exchange(fresh_, {})))
    check(success);
  forget_the_old();
}

void Checker::check(const Success& success) {
  const std::string who = peer_name(success.who.peer) + ", " + name_of(success.op) + ": ";
  if ((success.mask & (1U << success.slot)) == 0)
    throw Violation(who + "its own contribution is missing");
  const auto world = static_cast<std::uint32_t>(std::popcount(success.mask));
  if (success.world != 0 && success.world != world)
    throw Violation(who + std::to_string(world) + " contributors in a world of " +
                    std::to_string(success.world));
  const std::shared_ptr<Execution> execution = execution_of(success);
  if (execution->mask != success.mask || execution->digest != success.digest)
    throw Violation(who + "the bits differ from those of " +
                    (execution->witnesses.empty() ? "the sum over its contributors"
                                                  : peer_name(execution->witnesses.front().peer)));
  execution->witnesses.push_back(success.who);
  for (const Launch& launch : execution->contributors) {
    const auto failure = failures_.find(launch.number);
    if (failure != failures_.end())
      contradict(success.who, failure->second, name_of(success.op) + " succeeded and failed");
  }
}

std::shared_ptr<Checker::Execution> Checker::execution_of(const Success& success) {
  const auto known = executions_.find(success.launch);
  if (known != executions_.end()) return known->second;
  auto execution = std::make_shared<Execution>();
  execution->op = success.op;
  execution->mask = success.mask;
  if (!choose(success, *execution))
    throw Violation(peer_name(success.who.peer) + ", " + name_of(success.op) +
                    ": the bits are not the result over its contributors");
  for (const Launch& launch : execution->contributors) executions_[launch.number] = execution;
  ++counts_.ops;
  return execution;
}

// The contributors' launches that give this result: the newest ones, unless somebody has launched
// again since.
bool Checker::choose(const Success& success, Execution& execution) {
  const Op op = round_of(run_seed_, success.op.first, largest_op_bytes_).ops[success.op.second];
  std::vector<std::vector<Launch>> choices;
  for (std::uint32_t slot = 0; slot < slots; ++slot) {
    if ((success.mask & (1U << slot)) == 0) continue;
    std::vector<Launch>& choice = choices.emplace_back();
    for (const Launch& launch : launches_[success.op]) {
      if (launch.slot != slot || executions_.contains(launch.number)) continue;
      if (slot == success.slot && launch.number != success.launch) continue;
      choice.insert(choice.begin(), launch);
    }
    if (choice.empty())
      throw Violation(peer_name(success.who.peer) + ", " + name_of(success.op) +
                      ": a contribution of slot " + std::to_string(slot) +
                      " that it did not launch, or that is part of another result");
  }
  constexpr int most_tries = 64;
  std::vector<std::size_t> at(choices.size());
  for (int tries = 0; tries < most_tries; ++tries) {
    execution.contributors.clear();
    for (std::size_t i = 0; i < choices.size(); ++i)
      execution.contributors.push_back(choices[i][at[i]]);
    const std::vector<std::byte> right = expected(op, execution.contributors);
    execution.digest = digest(right.data(), right.size());
    if (execution.digest == success.digest) return true;
    std::size_t next = 0;
    while (next < at.size() && ++at[next] == choices[next].size()) at[next++] = 0;
    if (next == at.size()) return false;
  }
  return false;
}

void Checker::contradict(const Witness& one, const Witness& other, std::string what) {
  ++counts_.contradictions;
  std::erase_if(contradictions_, [this](const Contradiction& old) {
    return newest_[old.one.peer].seat > old.one.seat ||
           newest_[old.other.peer].seat > old.other.seat;
  });
  contradictions_.push_back({one, other,
                             what + ": " + peer_name(one.peer) + " and " + peer_name(other.peer) +
                                 " do not agree, and both have gone on in the run"});
  for (const std::uint32_t peer : {one.peer, other.peer})
    if (newest_.contains(peer)) goes_on(newest_[peer]);
}

void Checker::goes_on(const Witness& who) {
  Witness& newest = newest_[who.peer];
  if (std::pair(newest.seat, newest.t) < std::pair(who.seat, who.t)) newest = who;
  for (const Contradiction& contradiction : contradictions_) {
    const auto gone_on = [this](const Witness& then) {
      const Witness& now = newest_[then.peer];
      return now.seat == then.seat && now.t > then.t;
    };
    if (gone_on(contradiction.one) && gone_on(contradiction.other))
      throw Violation(contradiction.what);
  }
}

void Checker::forget_the_old() {
  while (order_.size() > remembered_launches) {
    executions_.erase(order_.front());
    failures_.erase(order_.front());
    launched_at_.erase(order_.front());
    order_.pop_front();
  }
  if (launches_.size() < 16 * remembered_steps) return;
  const std::uint64_t now = counts_.newest_step;
  std::erase_if(launches_,
                [&](const auto& entry) { return entry.first.first + remembered_steps < now; });
  if (launches_.size() >= 16 * remembered_steps) launches_.clear();
}

}  // namespace chaos
