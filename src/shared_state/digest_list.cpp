#include "shared_state/digest_list.hpp"

#include <algorithm>

#include "shared_state/digest_state.hpp"

namespace pccl::shared_state {

void DigestList::start() {
  digests_.resize(map_.blocks());
  next_ = arrived_ = 0;
  state_ = State::incomplete;
}

Request DigestList::next_request() {
  const Request request{What::digests, next_, std::min(digests_per_answer, map_.blocks() - next_)};
  next_ += request.count;
  return request;
}

std::span<std::byte> DigestList::place(const Request& request) {
  static_assert(sizeof(Digest) == digest_bytes);
  return std::as_writable_bytes(std::span(digests_).subspan(request.index, request.count));
}

DigestList::State DigestList::arrived(const Request& request) {
  arrived_ += request.count;
  if (arrived_ == map_.blocks())
    state_ = content_digest(map_, digests_) == elected_ ? State::right : State::wrong;
  return state_;
}

}  // namespace pccl::shared_state
