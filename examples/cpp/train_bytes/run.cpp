#include "run.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <thread>
#include <utility>

namespace train_bytes {
namespace {

// One name per all-reduce of the sequence, the same on all peers.
enum Tag : std::uint64_t { company_tag, average_tag };

constexpr auto pause_while_waiting = std::chrono::milliseconds(100);

template <typename... Values>
std::string text(const char* format, Values... values) {
  std::array<char, 256> line;
  std::snprintf(line.data(), line.size(), format, values...);
  return line.data();
}

}  // namespace

Run::Run(DiLoCo& training, RunOptions options)
    : training_(training), options_(std::move(options)) {}

RunReport Run::train() {
  while (training_.state().step < options_.steps) {
    try {
      new_here_ = true;
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
  synchronize(group);
  if (training_.state().step > 0) return Gathering::together;
  std::array<std::uint64_t, 1> waiting{group.world_size() < options_.start_peers ? 1u : 0u};
  if (!group.all_reduce(waiting, pcclSum, company_tag)) return Gathering::peer_lost;
  return waiting[0] > 0 ? Gathering::waiting : Gathering::together;
}

// The step is the revision: a newcomer's 0 is behind everybody else's, so it takes over a state and
// never gives one. (If all are new, one of them wins.)
void Run::synchronize(Group& group) {
  SharedState& state = training_.state();
  std::array<pcclTensorInfo_t, 2> entries{};
  entries[0] = {"parameters", state.parameters.data(), state.parameters.size(),
                pcclFloat,    pcclDeviceCpu,           false};
  entries[1] = {"velocity", state.velocity.data(), state.velocity.size(),
                pcclFloat,  pcclDeviceCpu,         false};
  std::uint64_t revision = state.step;
  const bool replaced = group.synchronize(revision, entries);
  if (replaced || revision != state.step) walk_.reset();  // it began at other weights
  state.step = static_cast<std::uint32_t>(revision);

  const int before = std::exchange(world_size_, group.world_size());
  if (!new_here_ && world_size_ <= before) return;
  if (new_here_)
    report_.peers_seen = std::max(report_.peers_seen, static_cast<std::uint64_t>(world_size_));
  else
    report_.peers_seen += static_cast<std::uint64_t>(world_size_ - before);
  if (report_.steps_taken == 0) report_.first_loss = training_.held_out_loss();
  say_where_we_are(group, new_here_ ? "joined at " : "newcomers at ");
  new_here_ = false;
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
