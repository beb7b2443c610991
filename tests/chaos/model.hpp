// The shared state of a peer: content that follows, step by step, from the results of the rounds.
#pragma once

#include <pccl.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace chaos {

class Model {
 public:
  // Of step 0 and like nobody else's: `own` differs from peer to peer.
  Model(std::size_t bytes, std::uint64_t own);

  std::uint64_t step() const { return step_; }
  void set_step(std::uint64_t step) { step_ = step; }

  // The next step, from the digests of this one's results. Changes a part of the content.
  void advance(const std::vector<std::uint64_t>& results);

  pcclSharedState_t view();
  std::uint64_t digest() const;  // of everything that all peers must have alike

 private:
  std::uint64_t step_ = 0;
  std::array<std::uint64_t, 2> chain_{};  // of all results since the beginning
  std::vector<std::byte> weights_;
  std::vector<std::byte> odd_;
  std::array<std::uint64_t, 3> exempt_{};
  std::array<pcclTensorInfo_t, 4> entries_{};
};

}  // namespace chaos
