#include "run.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <random>
#include <thread>
#include <utility>

namespace train_bytes {
namespace {

// One name per all-reduce of the sequence, the same on all peers.
enum Tag : std::uint64_t { roll_call_tag, election_tag, state_tag, average_tag };

constexpr auto pause_while_waiting = std::chrono::milliseconds(100);

template <typename... Values>
std::string text(const char* format, Values... values) {
  std::array<char, 256> line;
  std::snprintf(line.data(), line.size(), format, values...);
  return line.data();
}

}  // namespace

Run::Run(DiLoCo& training, RunOptions options)
    : training_(training), options_(std::move(options)), ballot_(std::random_device{}()) {}

RunReport Run::train() {
  while (training_.state().step < options_.steps) {
    try {
      needs_state_ = true;
      walk_.reset();
      Group group(options_.master_addresses, options_.peer_group);
      train_in(group);
    } catch (const RemovedFromRun& removed) {
      say(std::string("removed from the run, joining again: ") + removed.what());
    }
  }
  report_.last_loss = training_.held_out_loss();
  return report_;
}

void Run::train_in(Group& group) {
  one_outer_step(group);  // the peers that let us in are past `admit`: so are we
  while (training_.state().step < options_.steps) {
    group.admit_newcomers();
    one_outer_step(group);
  }
}

// Returns after the step, or without one when the group waits for more peers.
void Run::one_outer_step(Group& group) {
  while (true) {
    const Gathering gathering = gather(group);
    if (gathering == Gathering::waiting) {
      std::this_thread::sleep_for(pause_while_waiting);
      return;
    }
    if (gathering == Gathering::together) {
      if (!walk_) walk_ = training_.pseudo_gradient();
      if (group.all_reduce(*walk_, pcclAvg, average_tag)) break;
    }
    say_peer_lost(group);
  }
  training_.outer_step(*walk_);
  walk_.reset();
  ++report_.steps_taken;
  if (training_.state().step % options_.report_every == 0) say_where_we_are(group, "");
}

// After `together` all peers of the group hold the same state.
Run::Gathering Run::gather(Group& group) {
  const bool at_start = training_.state().step == 0 && !walk_;
  const bool want_company = at_start && group.world_size() < options_.start_peers;
  std::array<std::uint64_t, 2> roll_call{needs_state_ ? 1u : 0u, want_company ? 1u : 0u};
  if (!group.all_reduce(roll_call, pcclSum, roll_call_tag)) return Gathering::peer_lost;
  const auto [newcomers, waiting] = roll_call;

  if (newcomers > 0 && !hand_over(group, newcomers)) return Gathering::peer_lost;
  return waiting > 0 ? Gathering::waiting : Gathering::together;
}

// All peers take over the state of one of them, the donor: the peer that has come furthest, so that
// a newcomer with fresh weights never wins over a trained model. A maximum elects it. A second
// maximum carries its state, as words, because everybody else contributes zeros. (If all are new,
// step 0 of one of them wins.)
bool Run::hand_over(Group& group, std::uint64_t newcomers) {
  const std::uint64_t candidacy = std::uint64_t{training_.state().step} << 32 | ballot_;
  std::array<std::uint64_t, 1> winner{candidacy};
  if (!group.all_reduce(winner, pcclMax, election_tag)) return false;

  std::vector<std::uint32_t> words = training_.state().to_words();
  if (winner[0] != candidacy) std::fill(words.begin(), words.end(), 0);
  if (!group.all_reduce(words, pcclMax, state_tag)) return false;
  training_.adopt(SharedState::from_words(words));
  walk_.reset();  // it began at other weights

  const auto world_size = static_cast<std::uint64_t>(group.world_size());
  report_.peers_seen =
      needs_state_ ? std::max(report_.peers_seen, world_size) : report_.peers_seen + newcomers;
  if (report_.steps_taken == 0) report_.first_loss = training_.held_out_loss();
  say_where_we_are(group, needs_state_ ? "joined at " : "newcomers at ");
  needs_state_ = false;
  return true;
}

void Run::say_where_we_are(const Group& group, const char* event) const {
  say(text("%sstep %u/%u  loss %.3f  world %d", event, training_.state().step, options_.steps,
           training_.held_out_loss(), group.world_size()));
}

void Run::say_peer_lost(const Group& group) const {
  say(text("peer lost, going on with world %d: ", group.world_size()) + group.last_error());
}

// One line for people and scripts, at once, even into a pipe.
void Run::say(const std::string& text) const {
  std::printf("[%s] %s\n", options_.name.c_str(), text.c_str());
  std::fflush(stdout);
}

}  // namespace train_bytes
