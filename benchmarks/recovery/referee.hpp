// What the calls of peers that are killed and replaced must satisfy.
#pragma once

#include <pccl.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <map>
#include <set>

#include "common/telling_sums.hpp"

namespace bench {

using Nanoseconds = std::int64_t;

struct Event {  // one call of one peer
  int id = 0;
  Nanoseconds start = 0, end = 0;  // of the call
  int code = 0;
  int world = 0;                // after the call
  std::uint32_t iteration = 0;  // agreed, on success
  std::uint64_t digest = 0;
  std::uint64_t in_all = 0, in_any = 0;  // contributors of all tensors, of at least one
  std::size_t wrong = 0;
};

class Referee {
 public:
  void killed(int id) { killed_.insert(id); }

  void hear(const Event& event) {
    ++codes_[event.code];
    if (event.code != pcclSuccess) return;
    if (event.wrong > 0) {
      complain("peer %d, iteration %u: %zu wrong elements", event.id, event.iteration, event.wrong);
    }
    const std::uint64_t self = std::uint64_t{1} << (event.id % slots);
    if ((event.in_all & self) == 0) {
      complain("peer %d is not in its own result of iteration %u", event.id, event.iteration);
    }
    const auto [result, first] = results_.try_emplace(event.iteration, event);
    if (!first && result->second.digest != event.digest) {
      complain("iteration %u differs between peers %d and %d", event.iteration, event.id,
               result->second.id);
    }
    const auto [last, newcomer] = last_.try_emplace(event.id, event.iteration);
    if (!newcomer && event.iteration != last->second + 1) {
      complain("peer %d went from iteration %u to %u", event.id, last->second, event.iteration);
    }
    last->second = event.iteration;
    heard_[event.iteration].insert(event.id);
  }

  // All contributors of an iteration must have reported it, except those that were killed and, of
  // the last iterations, those that were told to stop.
  void judge_the_whole(std::uint32_t last_iteration) {
    for (const auto& [iteration, event] : results_) {
      if (iteration > last_iteration) continue;
      for (int slot = 0; slot < slots; ++slot) {
        if ((event.in_all >> slot & 1) == 0) continue;
        const auto& heard = heard_[iteration];
        const auto in_slot = [slot](int id) { return id % slots == slot; };
        if (std::any_of(heard.begin(), heard.end(), in_slot)) continue;
        if (std::any_of(killed_.begin(), killed_.end(), in_slot)) continue;
        complain("iteration %u has a contribution in slot %d, but no success there", iteration,
                 slot);
      }
    }
  }

  std::uint32_t newest_iteration() const { return results_.empty() ? 0 : results_.rbegin()->first; }
  std::size_t iterations() const { return results_.size(); }
  int complaints() const { return complaints_; }
  const std::map<int, int>& codes() const { return codes_; }

 private:
  template <typename... Values>
  void complain(const char* format, Values... values) {
    ++complaints_;
    std::fprintf(stderr, format, values...);
    std::fputc('\n', stderr);
  }

  std::set<int> killed_;
  std::map<std::uint32_t, Event> results_;
  std::map<std::uint32_t, std::set<int>> heard_;
  std::map<int, std::uint32_t> last_;
  std::map<int, int> codes_;
  int complaints_ = 0;
};

}  // namespace bench
