#include "node/device_stars.hpp"

#include <algorithm>

namespace pccl::node {

void DeviceStars::hold_back(membership::LaunchRequested launch,
                            std::unique_ptr<collective::DeviceStar> star,
                            std::shared_ptr<device::Workspace> workspace, Epoch seen) {
  const OpHandle handle = launch.handle;
  stars_[handle] = {std::move(star), std::move(workspace), std::move(launch), seen, {}};
}

std::size_t DeviceStars::held_back() const {
  return static_cast<std::size_t>(std::count_if(
      stars_.begin(), stars_.end(), [](const auto& entry) { return entry.second.launch; }));
}

DeviceStars::Progress DeviceStars::go_on(Epoch seen) {
  Progress progress;
  std::vector<OpHandle> stale, written;
  for (auto& [handle, star] : stars_) {
    if (!star.data->failure().empty()) continue;
    star.data->go_on();
    if (star.end && star.data->is_written()) written.push_back(handle);
    if (!star.launch || !star.data->input_is_here()) continue;
    if (star.seen != seen) {
      stale.push_back(handle);
      continue;
    }
    const auto input = star.data->input();
    star.launch->input.assign(input.begin(), input.end());
    progress.launches.push_back(*std::exchange(star.launch, std::nullopt));
  }
  for (const OpHandle handle : stale)
    progress.ended.push_back(take(
        handle, {.outcome = {Status::peer_lost, "the membership has changed since its launch"}}));
  for (const OpHandle handle : written)
    progress.ended.push_back(take(handle, *std::move(stars_.at(handle).end)));
  return progress;
}

std::optional<DeviceStars::Ended> DeviceStars::end(const membership::CompleteOp& complete) {
  Star& star = stars_.at(complete.handle);
  EndedOp ended{.outcome = complete.outcome, .world_size = complete.world_size};
  if (!complete.outcome.ok()) return take(complete.handle, std::move(ended));
  ended.tx_bytes = ended.rx_bytes = complete.result.size();
  star.end = std::move(ended);
  star.data->write(complete.result);
  return std::nullopt;
}

std::vector<DeviceStars::Ended> DeviceStars::end_held_back(const Outcome& outcome) {
  std::vector<OpHandle> held_back;
  for (const auto& [handle, star] : stars_)
    if (star.launch) held_back.push_back(handle);
  std::vector<Ended> ended;
  for (const OpHandle handle : held_back) ended.push_back(take(handle, {.outcome = outcome}));
  return ended;
}

DeviceStars::Failure DeviceStars::check() {
  Failure failure;
  std::vector<std::pair<OpHandle, std::string>> unwritten;
  for (const auto& [handle, star] : stars_) {
    const std::string why = star.data->failure();
    if (why.empty()) continue;
    failure.why = why;
    if (star.end) unwritten.emplace_back(handle, why);
  }
  for (const auto& [handle, why] : unwritten)
    failure.ended.push_back(
        take(handle, {.outcome = {Status::interrupted, "the result cannot be written: " + why}}));
  return failure;
}

DeviceStars::Ended DeviceStars::take(OpHandle handle, EndedOp ended) {
  auto star = stars_.extract(handle);
  ended.star = std::move(star.mapped().data);
  ended.workspace = std::move(star.mapped().workspace);
  return {handle, std::move(ended)};
}

}  // namespace pccl::node
