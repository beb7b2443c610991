#include "shared_state/holder.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/status.hpp"

namespace pccl::shared_state {

namespace {

constexpr std::uint32_t window_bytes = 64 << 10;
// Memory for blocks on their way from GPUs to the lanes, besides the few that each receiver has.
constexpr std::size_t copied_bytes = 16 << 20;

// Empty: the request is one that a state of so many blocks can answer.
std::string wrong_with(const Request& request, std::uint32_t blocks) {
  switch (request.what) {
    case What::block:
      if (request.count != 1) return fmt::format("a request for {} blocks at once", request.count);
      break;
    case What::digests:
      if (request.count == 0 || request.count > digests_per_answer)
        return fmt::format("a request for {} digests, not 1 to {}", request.count,
                           digests_per_answer);
      break;
    default:
      return fmt::format("a request for what {}", static_cast<unsigned>(request.what));
  }
  if (request.index >= blocks || request.count > blocks - request.index)
    return fmt::format("a request for {} from {} on of a state of {} blocks", request.count,
                       request.index, blocks);
  return {};
}

}  // namespace

Holder::Holder(StateView state, const BlockMap& map, std::span<const Digest> digests,
               std::function<void()> wake)
    : state_(state),
      map_(map),
      digests_(digests),
      gpus_(gpu_of(state) != nullptr),
      memory_(map.block_bytes(), copied_bytes / map.block_bytes(), gpu_of(state)),
      copies_(std::move(wake)) {
  PCCL_INVARIANT(digests.size() == map.blocks());
}

bool Holder::request_arrived(const PeerId& receiver, const Request& request, std::string& why) {
  const std::string wrong = wrong_with(request, map_.blocks());
  if (!wrong.empty()) {
    why = "protocol error: " + wrong;
    return false;
  }
  Receiver& from = receivers_[receiver];
  if (from.queued.size() + from.being_sent >= requests_in_flight) {
    why = fmt::format("protocol error: more than {} requests in flight", requests_in_flight);
    return false;
  }
  const bool on_gpu =
      gpus_ && request.what == What::block && shared_state::on_gpu(state_, map_, request.index);
  from.queued.push_back({request, on_gpu, std::nullopt});
  copy_ahead(receiver, from);
  return true;
}

// Starts as many copies of what will be sent next as there is memory for.
void Holder::copy_ahead(const PeerId& id, Receiver& receiver) {
  if (!gpus_) return;
  std::erase_if(abandoned_, [](const Copy& copy) { return copy.copied.ended(); });
  auto held = static_cast<std::size_t>(std::ranges::count(sending_, id, &Sending::receiver));
  for (Queued& next : receiver.queued) {
    if (!next.on_gpu) continue;
    if (!next.copy) {
      if (!memory_.available(held, receivers_.size())) return;
      next.copy.emplace(memory_.promise());
      const auto into = next.copy->memory.bytes().first(map_.length(next.request.index));
      next.copy->copied = copies_.gather(state_, map_, next.request.index, into);
    }
    ++held;
  }
}

void Holder::receiver_lost(const PeerId& receiver) {
  const auto found = receivers_.find(receiver);
  if (found == receivers_.end()) return;
  for (Queued& queued : found->second.queued)
    if (queued.copy) abandoned_.push_back(*std::move(queued.copy));
  std::erase_if(sending_, [&](const Sending& sending) { return sending.receiver == receiver; });
  receivers_.erase(found);
}

bool Holder::has_answer(const PeerId& receiver) const {
  const auto found = receivers_.find(receiver);
  return found != receivers_.end() && gpu_error().empty() &&
         std::ranges::any_of(found->second.queued, &Queued::ready);
}

std::optional<Answer> Holder::next_answer(const PeerId& receiver) {
  const auto found = receivers_.find(receiver);
  if (found == receivers_.end() || !gpu_error().empty()) return std::nullopt;
  auto& queued = found->second.queued;
  const auto next = std::ranges::find_if(queued, &Queued::ready);
  if (next == queued.end()) return std::nullopt;
  const Request request = next->request;
  if (next->copy) sending_.push_back({receiver, request.index, *std::move(next->copy)});
  queued.erase(next);
  ++found->second.being_sent;
  copy_ahead(receiver, found->second);
  return Answer{
      request.what, request.index,
      request.what == What::block ? map_.length(request.index) : request.count * digest_bytes};
}

std::span<const std::byte> Holder::payload(const Answer& answer, std::size_t offset) {
  if (offset >= answer.length) return {};
  if (answer.what == What::digests)
    return std::as_bytes(digests_.subspan(answer.index, answer.length / digest_bytes))
        .subspan(offset);
  if (gpus_ && on_gpu(state_, map_, answer.index)) {
    const auto copy = std::ranges::find(sending_, answer.index, &Sending::block);
    if (copy == sending_.end()) return {};  // its receiver is lost
    return copy->copy.memory.bytes().first(answer.length).subspan(offset);
  }
  if (const auto piece = map_.only_piece(answer.index))
    return bytes_of(state_, *piece).subspan(offset);
  return gathered(answer.index, static_cast<std::uint32_t>(offset), answer.length);
}

std::span<const std::byte> Holder::gathered(std::uint32_t block, std::uint32_t offset,
                                            std::uint32_t length) {
  if (window_block_ != block || offset < window_offset_ ||
      offset >= window_offset_ + window_.size()) {
    window_.resize(std::min(window_bytes, length - offset));
    gather(state_, map_, block, offset, window_);
    window_block_ = block;
    window_offset_ = offset;
  }
  return std::span(window_).subspan(offset - window_offset_);
}

void Holder::answer_sent(const PeerId& receiver, const Answer& answer) {
  if (answer.what == What::block) bytes_sent_ += answer.length;
  const auto found = receivers_.find(receiver);
  if (found == receivers_.end() || found->second.being_sent == 0) return;
  --found->second.being_sent;
  const auto copy = std::ranges::find_if(sending_, [&](const Sending& sending) {
    return answer.what == What::block && sending.receiver == receiver &&
           sending.block == answer.index;
  });
  if (copy == sending_.end()) return;
  sending_.erase(copy);
  copy_ahead(receiver, found->second);
}

}  // namespace pccl::shared_state
