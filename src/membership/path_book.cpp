#include "membership/path_book.hpp"

#include <algorithm>

namespace pccl::membership {

namespace {

constexpr int longest_cool_down = 256;  // times the first

PathBook::Path reversed(const PathBook::Path& path) {
  return {path.second, path.first};
}

}  // namespace

void PathBook::unanswered(const Path& path, Instant now, Duration cool_down) {
  breaks(path, now, cool_down, true);
  breaks(reversed(path), now, cool_down, true);
}

void PathBook::unreached(const Path& path, Instant now, Duration cool_down) {
  unanswered(path, now, cool_down);
  entries_.at(path).door_closed = true;
}

void PathBook::unopened(const Path& path, Instant now, Duration cool_down) {
  breaks(path, now, cool_down, false).door_closed = true;
}

PathBook::Entry& PathBook::breaks(const Path& path, Instant now, Duration cool_down,
                                  bool both_ways) {
  const auto [at, first] = entries_.try_emplace(path, Entry{.cool_down = cool_down});
  Entry& entry = at->second;
  if (entry.broken && !entry.being_tried) {  // known
    entry.both_ways = entry.both_ways || both_ways;
    return entry;
  }
  // The try has failed, or what seemed healed was not for long.
  const bool again = !first && (entry.broken || now - entry.since < entry.cool_down);
  if (again) entry.cool_down = std::min(2 * entry.cool_down, longest_cool_down * cool_down);
  if (!again) entry.cool_down = cool_down;
  entry.broken = true;
  entry.both_ways = both_ways;
  entry.door_closed = entry.being_tried = entry.other_way_stood = false;
  entry.since = now;
  return entry;
}

void PathBook::stands(const Path& path, Instant now) {
  heals(path, now);
  const auto reverse = entries_.find(reversed(path));
  if (reverse == entries_.end()) return;
  reverse->second.other_way_stood = true;
  // What was cut for both directions carries both again; a closed door is a thing of its own.
  if (reverse->second.both_ways) heals(reversed(path), now);
}

void PathBook::heals(const Path& path, Instant now) {
  const auto entry = entries_.find(path);
  if (entry == entries_.end() || !entry->second.broken) return;
  entry->second.broken = entry->second.being_tried = false;
  entry->second.since = now;
}

void PathBook::looked_at(const Path& path) {
  if (const auto entry = entries_.find(path); entry != entries_.end())
    entry->second.being_tried = entry->second.broken;
}

void PathBook::proposed(const std::vector<PeerId>& ring) {
  for (auto& [path, entry] : entries_) entry.being_tried = false;
  for (const Path& path : broken_in(ring)) entries_.at(path).being_tried = true;
}

std::vector<PathBook::Path> PathBook::broken_in(const std::vector<PeerId>& ring) const {
  std::vector<Path> found;
  for (std::size_t rank = 0; rank < ring.size() && ring.size() > 1; ++rank)
    if (const Path path{ring[rank], ring[(rank + 1) % ring.size()]}; broken(path))
      found.push_back(path);
  return found;
}

bool PathBook::broken(const Path& path) const {
  const auto entry = entries_.find(path);
  return entry != entries_.end() && entry->second.broken;
}

bool PathBook::door_closed(const Path& path) const {
  const auto entry = entries_.find(path);
  return entry != entries_.end() && entry->second.broken && entry->second.door_closed;
}

plan::BrokenPaths PathBook::broken_or_suspected() const {
  plan::BrokenPaths paths = broken();
  for (const auto& [path, entry] : entries_)
    if (entry.broken && !entry.other_way_stood) paths.insert(reversed(path));
  return paths;
}

plan::BrokenPaths PathBook::broken() const {
  plan::BrokenPaths paths;
  for (const auto& [path, entry] : entries_)
    if (entry.broken) paths.insert(path);
  return paths;
}

plan::BrokenPaths PathBook::still_cooling(Instant now) const {
  plan::BrokenPaths paths;
  for (const auto& [path, entry] : entries_)
    if (entry.broken && now - entry.since < entry.cool_down) paths.insert(path);
  return paths;
}

void PathBook::forget(const std::function<bool(PeerId)>& gone) {
  std::erase_if(entries_, [&](const auto& known) {
    return gone(known.first.first) || gone(known.first.second);
  });
}

}  // namespace pccl::membership
