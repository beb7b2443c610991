#include "sim/measuring.hpp"

#include "sim/world.hpp"

namespace pccl::sim {

using namespace std::chrono_literals;

namespace {
constexpr Duration dial_deadline = 1500ms;
constexpr Duration longest_load = 300ms;
}  // namespace

void Measuring::measure(const membership::MeasurePath& measure) {
  wanted_[measure.wanted.outgoing] = measure.wanted;
  if (measure.wanted.outgoing) return dial(measure.wanted);
  if (const auto waiting = at_the_door_.extract(measure.wanted.token))
    arrived(waiting.key(), waiting.mapped());
}

bool Measuring::current(const wire::Token& token, bool outgoing) const {
  const auto found = wanted_.find(outgoing);
  return found != wanted_.end() && found->second.token == token;
}

void Measuring::dial(const wire::PathWanted& wanted) {
  SimPeer* const target = world_.peer_at(wanted.other.p2p);
  PCCL_REQUIRE(target != nullptr, "Membership", "a path leads to where nobody ever was");
  const int from = peer_.slot(), to = target->slot();
  const Duration trip = 2 * world_.link_delay() + world_.paths.dial_delay(from, to);
  world_.timeline.after(trip, [this, target, token = wanted.token, from, to] {
    if (world_.paths.current_cut_either_way(from, to) != 0 || target->options().p2p_silent)
      return peer_.later(dial_deadline, [this, token] {
        failed(token, wire::LinkFault::unreached, "no answer in time");
      });
    if (!target->alive() || world_.paths.refuses(from, to))
      return peer_.later(world_.link_delay(), [this, token] {
        failed(token, wire::LinkFault::not_opened, "connection refused");
      });
    target->measuring().arrived(token, from);
  });
}

// Who knocks before the master has said why waits at the door.
void Measuring::arrived(const wire::Token& token, int from) {
  if (!current(token, false)) {
    at_the_door_.emplace(token, from);
    return;
  }
  peer_.later(world_.between(0us, longest_load), [this, token, from] { loaded(token, from); });
}

void Measuring::loaded(const wire::Token& token, int from) {
  if (!current(token, false)) return;
  if (world_.paths.current_cut_either_way(from, peer_.slot()) != 0)
    return failed(token, wire::LinkFault::broke, "nothing comes any more");
  const plan::PathQuality quality = world_.options.quality(from, peer_.slot());
  peer_.post(membership::PathJudged{
      {.token = token,
       .bits_per_s = static_cast<std::uint64_t>(quality.bits_per_s),
       .round_trip_us = static_cast<std::uint32_t>(1e6 * quality.round_trip_s),
       .why = {}}});
}

void Measuring::failed(const wire::Token& token, wire::LinkFault fault, const char* why) {
  if (current(token, true) || current(token, false))
    peer_.post(membership::PathJudged{{.token = token, .fault = fault, .why = why}});
}

}  // namespace pccl::sim
