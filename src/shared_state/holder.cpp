#include "shared_state/holder.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/status.hpp"

namespace pccl::shared_state {

namespace {

constexpr std::uint32_t window_bytes = 64 << 10;

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

Holder::Holder(StateView state, const BlockMap& map, std::span<const Digest> digests)
    : state_(state), map_(map), digests_(digests) {
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
  from.queued.push_back(request);
  return true;
}

bool Holder::has_answer(const PeerId& receiver) const {
  const auto found = receivers_.find(receiver);
  return found != receivers_.end() && !found->second.queued.empty();
}

std::optional<Answer> Holder::next_answer(const PeerId& receiver) {
  const auto found = receivers_.find(receiver);
  if (found == receivers_.end() || found->second.queued.empty()) return std::nullopt;
  const Request request = found->second.queued.front();
  found->second.queued.pop_front();
  ++found->second.being_sent;
  return Answer{
      request.what, request.index,
      request.what == What::block ? map_.length(request.index) : request.count * digest_bytes};
}

std::span<const std::byte> Holder::payload(const Answer& answer, std::size_t offset) {
  if (offset >= answer.length) return {};
  if (answer.what == What::digests)
    return std::as_bytes(digests_.subspan(answer.index, answer.length / digest_bytes))
        .subspan(offset);
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
  if (found != receivers_.end() && found->second.being_sent > 0) --found->second.being_sent;
}

}  // namespace pccl::shared_state
