// The weather between peers: which paths are cut, where dialling is slow or refused. By process
// number, one direction at a time.
#pragma once

#include <map>
#include <set>
#include <utility>

#include "base/time.hpp"

namespace pccl::sim {

class Paths {
 public:
  using Path = std::pair<int, int>;

  bool passable(int from, int to) const { return !cut_.contains({from, to}); }
  void cut(int from, int to) { cut_[{from, to}] = ++cuts_; }
  void heal(int from, int to) { cut_.erase({from, to}); }
  void heal_all() {
    cut_.clear();
    slow_.clear();
    refusing_.clear();
  }
  // Names a cut, to tell whether it has lasted since then; 0: not cut.
  unsigned current_cut(int from, int to) const {
    const auto found = cut_.find({from, to});
    return found == cut_.end() ? 0 : found->second;
  }
  // TCP needs both directions.
  unsigned current_cut_either_way(int a, int b) const {
    return current_cut(a, b) + (current_cut(b, a) << 16);
  }

  void slow_down_dials(int from, int to, Duration by) { slow_[{from, to}] = by; }
  Duration dial_delay(int from, int to) const {
    const auto found = slow_.find({from, to});
    return found == slow_.end() ? Duration{0} : found->second;
  }
  void refuse_dials(int from, int to) { refusing_.insert({from, to}); }
  bool refuses(int from, int to) const { return refusing_.contains({from, to}); }
  void end_dial_trouble(int from, int to) {
    slow_.erase({from, to});
    refusing_.erase({from, to});
  }

 private:
  std::map<Path, unsigned> cut_;
  unsigned cuts_ = 0;
  std::map<Path, Duration> slow_;
  std::set<Path> refusing_;
};

}  // namespace pccl::sim
