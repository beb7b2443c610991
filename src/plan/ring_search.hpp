// A ring over the paths that work, of members by their index in a given order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace pccl::plan {

using Index = std::uint32_t;  // of a member in the given order
using Order = std::vector<Index>;

// Who can send to whom, asked some hundred thousand times.
class PathMap {
 public:
  explicit PathMap(std::size_t count) : count_(count), closed_(count * count) {}

  Index count() const { return static_cast<Index>(count_); }
  void close(Index from, Index to) { closed_[from * count_ + to] = true; }
  bool passable(Index from, Index to) const { return from != to && !closed_[from * count_ + to]; }

 private:
  std::size_t count_;
  std::vector<bool> closed_;
};

// A ring over all, close to the given order, that begins with the first. Nothing when there is
// none, or none was found within a bounded search: where few are, or most paths work, none is
// missed.
std::optional<Order> search_ring(const PathMap& paths);

}  // namespace pccl::plan
