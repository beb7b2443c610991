#include "chaos/schedule.hpp"

#include <array>

namespace chaos {

using std::chrono::milliseconds;

namespace {

struct Weight {
  Deed deed;
  std::uint64_t weight;
  double longest;  // in peer timeouts: some end before anybody is given up, some do not
};
constexpr std::array<Weight, 7> weights{{{Deed::kill, 17, 0},
                                         {Deed::stop, 14, 3},
                                         {Deed::leave, 8, 0},
                                         {Deed::join, 36, 0},
                                         {Deed::kill_master, 7, 2},
                                         {Deed::cut_pair, 10, 6},
                                         {Deed::cut_from_master, 8, 3}}};

}  // namespace

Schedule::Schedule(std::uint64_t seed, milliseconds unit, bool with_cuts)
    : random_(seed), unit_(unit), with_cuts_(with_cuts) {
  advance();
}

// As many numbers are drawn for one action as for another.
void Schedule::advance() {
  next_.at += milliseconds(200 + random_() % 1800);
  std::uint64_t total = 0;
  for (const Weight& weight : weights) total += weight.weight;
  std::uint64_t drawn = random_() % total;
  std::size_t which = 0;
  while (drawn >= weights[which].weight) drawn -= weights[which++].weight;
  next_.deed = weights[which].deed;
  next_.slot = static_cast<std::uint32_t>(random_() % slots);
  next_.other = static_cast<std::uint32_t>((next_.slot + 1 + random_() % (slots - 1)) % slots);
  const double part = static_cast<double>(random_() % 1000) / 1000;
  next_.lasting = milliseconds(static_cast<std::int64_t>(static_cast<double>(unit_.count()) *
                                                         weights[which].longest * part * part));
  const bool cut = next_.deed == Deed::cut_pair || next_.deed == Deed::cut_from_master;
  if (cut && !with_cuts_) next_.deed = Deed::stop;
}

std::string Action::text() const {
  const std::string who = "slot " + std::to_string(slot);
  const std::string how_long = " for " + std::to_string(lasting.count()) + " ms";
  switch (deed) {
    case Deed::kill:
      return "kill " + who;
    case Deed::stop:
      return "stop " + who + how_long;
    case Deed::leave:
      return who + " leaves";
    case Deed::join:
      return "join";
    case Deed::kill_master:
      return "kill the master" + how_long;
    case Deed::cut_pair:
      return "cut slot " + std::to_string(slot) + " from slot " + std::to_string(other) + how_long;
    case Deed::cut_from_master:
      return "cut " + who + " from the master" + how_long;
  }
  return "";
}

}  // namespace chaos
