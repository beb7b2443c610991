// The two optimizers of DiLoCo (Douillard et al., arXiv 2311.08105): each peer walks some steps on
// its own with AdamW, then all peers walk together, once, in the direction of their averaged walks,
// with Nesterov momentum.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace train_bytes {

// Inner optimizer: private to a peer, never exchanged (Loshchilov & Hutter, arXiv 1711.05101).
class AdamW {
 public:
  struct Settings {
    float learning_rate = 3e-3f;
    float first_decay = 0.9f;
    float second_decay = 0.99f;
    float weight_decay = 0.01f;
    float epsilon = 1e-8f;
  };

  AdamW(std::size_t parameter_count, Settings settings);
  void step(std::span<float> parameters, std::span<const float> gradient);

 private:
  Settings settings_;
  std::size_t steps_ = 0;
  std::vector<float> first_moment_, second_moment_;
};

// Outer optimizer: part of the state all peers share, so it lives in buffers of the caller. Plain
// IEEE additions and multiplications only: equal inputs give equal bits on every peer.
struct Nesterov {
  float learning_rate = 0.7f;
  float momentum = 0.9f;

  void step(std::span<float> parameters, std::span<float> velocity,
            std::span<const float> pseudo_gradient) const;
};

}  // namespace train_bytes
