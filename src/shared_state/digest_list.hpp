// The list of the elected content's block digests while it comes from one holder: only the whole of
// it can be checked, against the content digest that the peers have elected.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/digest.hpp"
#include "shared_state/block_map.hpp"
#include "shared_state/frames.hpp"

namespace pccl::shared_state {

class DigestList {
 public:
  DigestList(const BlockMap& map, const Digest& elected) : map_(map), elected_(elected) {}

  void start();  // anew, from another holder
  bool has_request() const { return next_ < map_.blocks(); }
  Request next_request();
  std::span<std::byte> place(const Request& request);

  enum class State : std::uint8_t { incomplete, right, wrong };
  State arrived(const Request& request);
  State state() const { return state_; }

  std::span<const Digest> digests() const { return digests_; }

 private:
  const BlockMap& map_;
  Digest elected_;
  std::vector<Digest> digests_;
  std::uint32_t next_ = 0;     // to ask for
  std::uint32_t arrived_ = 0;  // in any order
  State state_ = State::incomplete;
};

}  // namespace pccl::shared_state
