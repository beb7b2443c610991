#include "chaos/storm.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <memory>
#include <thread>
#include <utility>

#include "chaos/violation.hpp"

namespace chaos {

using namespace std::chrono_literals;
using std::chrono::milliseconds;

namespace {

constexpr std::uint32_t first_peers = 5;
constexpr std::size_t fewest_solid = 2;  // that hold the state and that nothing is done to
constexpr std::size_t most_stopped = 3, most_cuts = 3;
constexpr std::size_t remembered_actions = 40;
constexpr std::uint64_t syncs_of_a_calm = 5;  // of each peer, in the world of all
constexpr auto pause_between_passes = 3ms;

double in_seconds(Clock::duration duration) {
  return std::chrono::duration<double>(duration).count();
}

template <typename... Values>
std::string text(const char* format, Values... values) {
  std::array<char, 500> line;
  std::snprintf(line.data(), line.size(), format, values...);
  return line.data();
}

}  // namespace

Storm::Storm(const StormOptions& options)
    : options_(options),
      unit_(static_cast<int>(options.crew.peer_timeout_s * 1000)),
      bound_(10 * unit_ + 15s * e2e::slack),
      crew_(options.crew),
      checker_(options.crew.run_seed, options.crew.largest_op_bytes),
      schedule_(options.seed, unit_, crew_.network().can_cut()) {}

void Storm::run() {
  if (!crew_.network().can_cut())
    note("no cuts: they need root, ip(8), nsenter(1) and virtual Ethernet pairs, and no --no-cuts");
  for (std::uint32_t slot = 0; slot < std::min(first_peers, options_.most_peers); ++slot)
    crew_.join(slot);
  calm();
  while (stormed_ < options_.lasting) {
    storm_until(std::min<Clock::duration>(stormed_ + options_.calm_every, options_.lasting));
    calm();
  }
  note("all leave");
  for (Member* member : crew_.living()) crew_.leave(member->slot);
  while (!crew_.living().empty()) pass();
  crew_.end_master();
  for (int last = 0; last < 2; ++last) pass();
}

// Storm time stands still in the calm.
void Storm::storm_until(Clock::duration until) {
  const auto zero = Clock::now() - stormed_;
  while ((stormed_ = Clock::now() - zero) < until) {
    while (schedule_.next().at <= stormed_) {
      const bool applied = apply(schedule_.next());
      ++(applied ? done_ : skipped_);
      const double planned = in_seconds(schedule_.next().at);
      note((applied ? "" : "skipped: ") + schedule_.next().text() +
           text(" (planned at %.3f s of storm)", planned));
      schedule_.advance();
    }
    undo_due(false);
    pass();
  }
}

// Everything is mended, and all who are there have to succeed together.
void Storm::calm() {
  undo_due(true);
  note("calm");
  const auto begin = Clock::now();
  for (Member* member : crew_.living()) member->together = 0;
  const auto all_together = [this] {
    const auto living = crew_.living();
    return std::all_of(living.begin(), living.end(), [](const Member* member) {
      return !member->leaving && member->together >= syncs_of_a_calm;
    });
  };
  while (!all_together()) {
    pass();
    if (Clock::now() - begin > 2 * bound_)
      throw Violation(text("in %.0f s of calm the peers have not all come together",
                           in_seconds(Clock::now() - begin)));
  }
  ++calms_;
  longest_calm_ = std::max(longest_calm_, Clock::now() - begin);
  note(text("all %zu together after %.2f s, step %llu", crew_.living().size(),
            in_seconds(Clock::now() - begin),
            static_cast<unsigned long long>(checker_.counts().newest_step)));
}

void Storm::pass() {
  crew_.read_all([this](Member& member, const e2e::Line& line) { listen(member, line); });
  checker_.settle();
  watch();
  std::this_thread::sleep_for(pause_between_passes);
}

void Storm::listen(Member& member, const e2e::Line& line) {
  const auto now = Clock::now();
  if (line.name == "synced") {
    member.synced = member.progress = now;
    member.step = line.number("step");
    member.world = static_cast<std::uint32_t>(line.number("world"));
    if (member.world == crew_.living().size()) ++member.together;
  } else if (line.name == "reduced" || line.name == "alone") {
    member.progress = now;
  } else if (line.name != "launch") {
    member.news = line.whole;
    if (line.name == "removed") ++removals_;
    if (line.name != "failed") note(member.process->name() + ": " + line.whole);
  }
  checker_.read(member.id, member.slot, line);
}

// Whoever nothing is done to must succeed in something within the bound.
void Storm::watch() {
  if (!crew_.has_master()) return;
  for (const Member* member : crew_.living()) {
    if (member->stopped || crew_.is_cut(member->slot)) continue;
    const auto since = std::max({member->progress, member->disturbed, crew_.master_since()});
    const auto waited = Clock::now() - since;
    longest_wait_ = std::max(longest_wait_, waited);
    if (waited > bound_)
      throw Violation(member->process->name() +
                      text(" has not succeeded in anything for %.1f s", in_seconds(waited)));
  }
}

void Storm::undo_due(bool all) {
  for (auto& undo : std::exchange(undos_, {})) {
    if (!all && undo.at > Clock::now()) {
      undos_.push_back(std::move(undo));
      continue;
    }
    undo.what();
    note(undo.text);
  }
}

void Storm::later(const Action& action, std::string what_text, std::function<void()> what) {
  undos_.push_back({Clock::now() + action.lasting, std::move(what), std::move(what_text)});
}

bool Storm::apply(const Action& action) {
  const std::uint32_t slot = action.slot;
  Member* const member = crew_.at(slot);
  switch (action.deed) {
    case Deed::join:
      return join(slot);
    case Deed::kill_master:
      return kill_master(action);
    case Deed::cut_pair:
      return cut_pair(action);
    case Deed::kill:
      if (!can_spare(member)) return false;
      crew_.kill(slot);
      return true;
    case Deed::leave:
      if (!can_spare(member) || member->stopped) return false;
      crew_.leave(slot);
      return true;
    case Deed::stop:
      return stop(action);
    case Deed::cut_from_master:
      if (!can_spare(member) || crew_.cuts() >= most_cuts) return false;
      if (crew_.is_cut(slot)) return false;
      crew_.cut(slot, master_place);
      later(action, text("slot %u reaches the master again", slot),
            [this, slot] { crew_.heal(slot, master_place); });
      return true;
  }
  return false;
}

bool Storm::join(std::uint32_t slot) {
  if (crew_.living().size() >= options_.most_peers) return false;
  while (crew_.at(slot) != nullptr) slot = static_cast<std::uint32_t>((slot + 1) % slots);
  crew_.join(slot);
  note(crew_.at(slot)->process->name() + " joins");
  return true;
}

bool Storm::stop(const Action& action) {
  Member* const member = crew_.at(action.slot);
  const auto living = crew_.living();
  const auto stopped =
      std::count_if(living.begin(), living.end(), [](const Member* one) { return one->stopped; });
  if (!can_spare(member) || member->stopped || static_cast<std::size_t>(stopped) >= most_stopped)
    return false;
  crew_.stop(action.slot);
  const std::uint32_t id = member->id;
  later(action, member->process->name() + " goes on", [this, id, slot = action.slot] {
    if (crew_.at(slot) != nullptr && crew_.at(slot)->id == id) crew_.go_on(slot);
  });
  return true;
}

bool Storm::kill_master(const Action& action) {
  if (!crew_.has_master() || Clock::now() - crew_.master_since() < 2 * unit_) return false;
  crew_.kill_master();
  ++master_kills_;
  later(action, "the master is back", [this] { crew_.start_master(); });
  return true;
}

bool Storm::cut_pair(const Action& action) {
  const Member *one = crew_.at(action.slot), *other = crew_.at(action.other);
  if (one == nullptr || other == nullptr || crew_.cuts() >= most_cuts) return false;
  if (crew_.is_cut(one->slot) || crew_.is_cut(other->slot)) return false;
  const auto living = crew_.living();
  const auto solid = std::count_if(living.begin(), living.end(), [&](const Member* third) {
    return third != one && third != other && is_solid(*third);
  });
  if (static_cast<std::size_t>(solid) < fewest_solid) return false;
  crew_.cut(one->slot, other->slot);
  later(action, text("slots %u and %u reach each other again", one->slot, other->slot),
        [this, a = one->slot, b = other->slot] { crew_.heal(a, b); });
  return true;
}

bool Storm::can_spare(const Member* member) {
  if (member == nullptr || member->leaving) return false;
  const auto living = crew_.living();
  const auto solid = std::count_if(living.begin(), living.end(), [&](const Member* other) {
    return other != member && is_solid(*other);
  });
  return static_cast<std::size_t>(solid) >= fewest_solid;
}

bool Storm::is_solid(const Member& member) const {
  constexpr auto recently = 5s;
  return !member.stopped && !member.leaving && !crew_.is_cut(member.slot) &&
         member.synced > member.disturbed && Clock::now() - member.synced < recently;
}

void Storm::note(const std::string& what) {
  const std::string line = text("%9.3f ", in_seconds(Clock::now() - begin_)) + what;
  if (options_.log != nullptr) {
    std::fprintf(options_.log, "%s\n", line.c_str());
    std::fflush(options_.log);
  }
  actions_.push_back(line);
  if (actions_.size() > remembered_actions) actions_.pop_front();
}

std::string Storm::summary() const {
  const CheckerCounts& counts = checker_.counts();
  const auto n = [](std::uint64_t number) { return static_cast<unsigned long long>(number); };
  return text("seed %llu: %.0f s, %llu actions (%llu more skipped), %llu of them master kills; ",
              n(options_.seed), in_seconds(Clock::now() - begin_), n(done_), n(skipped_),
              n(master_kills_)) +
         text(
             "%llu steps, %llu ops with %llu successes and %llu failures, %llu syncs "
             "(%llu fetched), %llu removals; ",
             n(counts.newest_step), n(counts.ops), n(counts.successes), n(counts.failures),
             n(counts.syncs), n(counts.fetches), n(removals_)) +
         text(
             "%llu contradictions of the removed, %llu histories; longest wait %.2f s of %.0f s, "
             "%llu calms, longest %.2f s",
             n(counts.contradictions), n(counts.histories), in_seconds(longest_wait_),
             in_seconds(bound_), n(calms_), in_seconds(longest_calm_));
}

std::string Storm::evidence(std::size_t most_of_each) {
  std::string all = "---- the last of what happened\n";
  for (const std::string& action : actions_) all += action + "\n";
  all += "---- the peers\n";
  for (const Member* member : crew_.living())
    all += member->process->name() +
           text(": success %.2f s ago, step %llu, world %u%s%s%s; ",
                in_seconds(Clock::now() - member->progress),
                static_cast<unsigned long long>(member->step), member->world,
                member->stopped ? ", stopped" : "", member->leaving ? ", leaving" : "",
                crew_.is_cut(member->slot) ? ", cut" : "") +
           member->news + "\n";
  return all + crew_.transcripts(most_of_each);
}

}  // namespace chaos
