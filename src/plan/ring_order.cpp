// Peers are translated to their index in the given order; the search itself is ring_search.
#include "plan/ring_order.hpp"

#include <algorithm>
#include <cstddef>
#include <map>

#include "plan/ring_search.hpp"

namespace pccl::plan {

namespace {

PathMap path_map(const std::vector<PeerId>& members, const BrokenPaths& broken) {
  PathMap paths(members.size());
  std::vector<std::pair<PeerId, Index>> index;
  for (Index i = 0; i < paths.count(); ++i) index.emplace_back(members[i], i);
  std::sort(index.begin(), index.end());
  const auto index_of = [&](PeerId id) {
    const auto at = std::lower_bound(index.begin(), index.end(), std::pair{id, Index{0}});
    return at != index.end() && at->first == id ? at->second : paths.count();
  };
  for (const auto& [from, to] : broken)
    if (const Index a = index_of(from), b = index_of(to); a < paths.count() && b < paths.count())
      paths.close(a, b);
  return paths;
}

bool avoids(const std::vector<PeerId>& ring, const BrokenPaths& broken) {
  for (std::size_t rank = 0; rank < ring.size() && ring.size() > 1; ++rank)
    if (broken.contains({ring[rank], ring[(rank + 1) % ring.size()]})) return false;
  return true;
}

}  // namespace

std::optional<std::vector<PeerId>> ring_order(const std::vector<PeerId>& members,
                                              const BrokenPaths& broken) {
  if (avoids(members, broken)) return members;
  const auto order = search_ring(path_map(members, broken));
  if (!order) return std::nullopt;
  std::vector<PeerId> ring;
  for (const Index index : *order) ring.push_back(members[index]);
  return ring;
}

namespace {

std::vector<PeerId> without(std::vector<PeerId> members, const std::vector<PeerId>& out) {
  std::erase_if(members,
                [&](PeerId id) { return std::find(out.begin(), out.end(), id) != out.end(); });
  return members;
}

// Rings asked for at most before the search for the very fewest ends.
constexpr std::size_t leave_out_tries = 100;
constexpr std::size_t leave_out_members = 256;  // larger groups are not searched, only thinned out

// How many others each member has a broken path with, one way or the other.
std::map<PeerId, std::size_t> broken_neighbours(const std::vector<PeerId>& members,
                                                const BrokenPaths& broken) {
  std::map<PeerId, std::size_t> count;
  const std::set<PeerId> known(members.begin(), members.end());
  for (const auto& [from, to] : broken) {
    if (!known.contains(from) || !known.contains(to)) continue;
    if (to < from && broken.contains({to, from})) continue;  // counted the other way round
    ++count[from];
    ++count[to];
  }
  return count;
}

}  // namespace

std::vector<PeerId> leave_out(const std::vector<PeerId>& members, const BrokenPaths& broken,
                              const std::vector<PeerId>& may_go) {
  std::vector<PeerId> ends = may_go;  // who has every path is in nobody's way
  std::erase_if(ends, [&, count = broken_neighbours(members, broken)](PeerId id) {
    return !count.contains(id);
  });
  const bool searched = members.size() <= leave_out_members;
  std::size_t tries = 0;
  const auto suffices = [&](const std::vector<PeerId>& out) {
    return ++tries <= leave_out_tries && ring_order(without(members, out), broken).has_value();
  };
  for (std::size_t i = 0; i < ends.size() && searched; ++i)
    if (suffices({ends[i]})) return {ends[i]};
  // Two between whom no path is broken are rather of one part of a torn run, and leave the other.
  for (const bool torn : {false, true})
    for (std::size_t i = 0; i < ends.size() && searched; ++i)
      for (std::size_t j = i + 1; j < ends.size() && tries < leave_out_tries; ++j) {
        const bool broken_between =
            broken.contains({ends[i], ends[j]}) || broken.contains({ends[j], ends[i]});
        if (broken_between == torn && suffices({ends[i], ends[j]})) return {ends[i], ends[j]};
      }
  std::vector<PeerId> out, rest = members;
  do {
    if (ends.empty()) return out;
    auto count = broken_neighbours(rest, broken);
    const auto worst = std::max_element(ends.begin(), ends.end(),
                                        [&](PeerId a, PeerId b) { return count[a] < count[b]; });
    out.push_back(*worst);
    rest = without(std::move(rest), {*worst});
    ends.erase(worst);
  } while (searched && !ring_order(rest, broken));
  return out;
}

}  // namespace pccl::plan
