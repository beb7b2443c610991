// pcclOptimizeTopology: measure what is not known of the paths, ask for the best rings, form them.
//
//   - Paths are measured in rounds (plan/measuring_rounds), those of all groups together. A round
//   is
//     over when every measurement of it has been reported, or its deadline has passed; only paths
//     within a group are of interest. What has been measured is kept until a peer at one end of the
//     path is gone, so the next call measures only the paths of newcomers.
//   - The rings are found elsewhere (SolveRings): it may take a second.
//   - They are formed by a round like those that admit newcomers, without any: proposed, linked,
//   and
//     installed together. So a peer that dies and a path that breaks meanwhile are nothing new.
//
// A peer that is lost takes its measurements with it, and the others go on. A master that was
// started again begins anew when it has everybody's call again.
#include <fmt/format.h>

#include <algorithm>

#include "base/limits.hpp"
#include "membership/master_machine.hpp"
#include "plan/measuring_rounds.hpp"

namespace pccl::membership {

namespace {

// What a ring may use in need, as find_ring would: a path that broke long ago, one that is only
// suspected, and one that nobody has measured.
constexpr plan::PathQuality broken_once{1, 1}, suspected{2, 1}, unknown{4, 1};
constexpr double slowest_measured = 8;  // bits per second

}  // namespace

void MasterMachine::start_optimization() {
  optimization_.emplace(Optimization{});  // clang: not yet default constructible in the class
  for (const auto& [group, state] : groups_)
    if (state.ring.size() >= 2 && state.ring.size() <= limits::optimized_ring)
      plan_measurements(group, state);
  auto& rounds = optimization_->rounds;
  rounds.resize(std::min(rounds.size(), limits::measuring_rounds));
  std::size_t paths = 0;
  for (const auto& round : rounds) paths += round.size();
  note(fmt::format("measures {} paths in {} rounds", paths, rounds.size()));
  continue_optimization();
}

// A path that broke not long ago is left in peace.
void MasterMachine::plan_measurements(Group group, const GroupState& state) {
  const plan::BrokenPaths cooling = state.paths.still_cooling(now_);
  const auto path_of = [&](const plan::Pair& pair) {
    return PathBook::Path{state.ring[pair.first], state.ring[pair.second]};
  };
  const auto rounds = plan::measuring_rounds(
      static_cast<plan::Index>(state.ring.size()), [&](const plan::Pair& pair) {
        return !state.measured.contains(path_of(pair)) && !cooling.contains(path_of(pair));
      });
  auto& all = optimization_->rounds;
  all.resize(std::max(all.size(), rounds.size()));
  for (std::size_t number = 0; number < rounds.size(); ++number)
    for (const plan::Pair& pair : rounds[number]) all[number].push_back({group, path_of(pair)});
}

// Runs after every event: a report may end a round, and so may a departure.
void MasterMachine::continue_optimization() {
  if (!optimization_) return;
  if (accepted_peers().empty()) return optimization_.reset();
  std::erase_if(optimization_->open, [this](const auto& entry) {
    const auto& [from, to] = entry.second.path;
    return find(from) == nullptr || find(to) == nullptr;
  });
  while (optimization_->open.empty() && !optimization_->rounds.empty()) {
    const std::vector<Measurement> round = std::move(optimization_->rounds.front());
    optimization_->rounds.pop_front();
    for (const Measurement& measurement : round) start_measurement(measurement);
  }
  if (optimization_->open.empty() && optimization_->question == 0) ask_for_rings();
}

void MasterMachine::start_measurement(Measurement measurement) {
  const Peer* const from = find(measurement.path.first);
  const Peer* const to = find(measurement.path.second);
  if (from == nullptr || to == nullptr || !from->call || !to->call) return;
  // To dial, to greet and to ask for the round trip; to load the path; and the report's way here.
  measurement.deadline = now_ + 3 * settings_.peer_timeout + limits::path_load_time;
  const wire::Token token = random_token();
  optimization_->open[token] = measurement;
  groups_.at(measurement.group).paths.looked_at(measurement.path);
  // Who receives hears of it first: the other one is about to knock.
  send(*to, wire::PathWanted{to->call->call, token, false, {from->id, from->p2p}});
  send(*from, wire::PathWanted{from->call->call, token, true, {to->id, to->p2p}});
}

void MasterMachine::on_path_measured(const Peer& peer, const wire::PathMeasured& measured) {
  if (!optimization_) return;
  const auto open = optimization_->open.find(measured.token);
  if (open == optimization_->open.end()) return;
  const Measurement measurement = open->second;
  const auto& [from, to] = measurement.path;
  // How fast a path is who receives can tell, and nobody else.
  if (peer.id != to && (peer.id != from || measured.bits_per_s != 0)) return;
  optimization_->open.erase(open);
  const std::string path =
      fmt::format("the path from {} to {}", find(from)->name(), find(to)->name());
  if (measured.bits_per_s == 0) {
    note(fmt::format("{} could not be measured: {}", path, measured.why));
    return hear_of_fault(measurement, measured);
  }
  const plan::PathQuality quality{
      std::max(slowest_measured, static_cast<double>(measured.bits_per_s)),
      1e-6 * measured.round_trip_us};
  note(fmt::format("{} carries {:.1f} Mbit/s, round trip {:.1f} ms", path,
                   1e-6 * quality.bits_per_s, 1e3 * quality.round_trip_s),
       true);
  GroupState& state = groups_.at(measurement.group);
  state.measured[measurement.path] = quality;
  state.best_in = {};
  state.paths.stands(measurement.path, now_);
}

// Dialling it has failed as dialling a link fails; but a peer that does not run at the moment
// explains that better than the path does, and so does a link that stands there.
void MasterMachine::hear_of_fault(const Measurement& measurement,
                                  const wire::PathMeasured& measured) {
  GroupState& state = groups_.at(measurement.group);
  const auto& [from, to] = measurement.path;
  const auto runs = [this](PeerId id) {
    return now_ - find(id)->heard <= 2 * heartbeat_interval();
  };
  const auto at = std::find(state.ring.begin(), state.ring.end(), from);
  const bool linked = !state.linking && at != state.ring.end() &&
                      (at + 1 == state.ring.end() ? state.ring.front() : *(at + 1)) == to;
  if (linked || !runs(from) || !runs(to)) return;
  if (measured.fault == wire::LinkFault::unreached)
    state.paths.unreached(measurement.path, now_, first_cool_down());
  else if (measured.fault == wire::LinkFault::not_opened)
    state.paths.unopened(measurement.path, now_, first_cool_down());
}

void MasterMachine::close_overdue_measurements() {
  if (!optimization_) return;
  std::erase_if(optimization_->open, [this](const auto& entry) {
    const Measurement& measurement = entry.second;
    if (now_ <= measurement.deadline) return false;
    note(fmt::format("the path from peer {} to peer {} was not measured in time",
                     short_name(measurement.path.first), short_name(measurement.path.second)));
    return true;
  });
}

void MasterMachine::ask_for_rings() {
  SolveRings ask{++questions_, {}};
  optimization_->question = ask.question;
  for (const auto& [group, state] : groups_)
    if (state.ring.size() >= 2 && state.ring.size() <= limits::optimized_ring &&
        state.best_in != state.epoch) {
      optimization_->asked_of[group] = state.ring;
      ask.groups.emplace(group, qualities_of(state));
    }
  if (!ask.groups.empty()) return effects_.push_back(std::move(ask));
  optimization_.reset();
  begin_round({}, {});
}

plan::PathQualities MasterMachine::qualities_of(const GroupState& state) const {
  const plan::BrokenPaths cooling = state.paths.still_cooling(now_), broken = state.paths.broken(),
                          careful = state.paths.broken_or_suspected();
  plan::PathQualities qualities(state.ring.size());
  for (plan::Index from = 0; from < qualities.count(); ++from)
    for (plan::Index to = 0; to < qualities.count(); ++to) {
      const PathBook::Path path{state.ring[from], state.ring[to]};
      if (from == to || cooling.contains(path)) continue;
      const auto known = state.measured.find(path);
      qualities.of(from, to) = broken.contains(path)           ? broken_once
                               : careful.contains(path)        ? suspected
                               : known == state.measured.end() ? unknown
                                                               : known->second;
    }
  return qualities;
}

// Whoever was lost meanwhile is left out of its ring; the rest of it stays a good one.
void MasterMachine::on(const RingsSolved& event) {
  if (!optimization_ || optimization_->question != event.question) return;
  const Optimization asked = *std::exchange(optimization_, std::nullopt);
  std::set<Group> affected;
  for (const auto& [group, order] : event.rings) {
    const auto found = groups_.find(group);
    if (found == groups_.end() || !order) continue;
    GroupState& state = found->second;
    std::vector<PeerId> ring;
    for (const plan::Index index : *order)
      if (const PeerId id = asked.asked_of.at(group).at(index); is_member(state, id))
        ring.push_back(id);
    if (ring.size() != state.ring.size()) continue;
    if (ring == state.ring) {
      state.best_in = state.epoch;
      continue;
    }
    state.better_ring = std::move(ring);
    affected.insert(group);
  }
  begin_round({}, std::move(affected));
}

}  // namespace pccl::membership
