// One peer's share of DiLoCo, without any communication: what the peers share, how a peer walks
// away from it on its own text, and how an averaged walk moves it.
#pragma once

#include <cstdint>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "model.hpp"
#include "optimizer.hpp"
#include "text_data.hpp"

namespace train_bytes {

// Bit-identical on every peer that is in the run.
struct SharedState {
  std::uint32_t step = 0;  // outer steps done
  std::vector<float> parameters;
  std::vector<float> velocity;  // Nesterov's momentum

  // 64-bit FNV-1a of the parameters' bytes, in hexadecimal.
  std::string parameter_hash() const;
};

class DiLoCo {
 public:
  struct Settings {
    std::uint64_t seed = 1;        // of the text this peer sees and of its first weights
    std::size_t inner_steps = 50;  // H of the paper
    std::size_t batch = 128;
    AdamW::Settings inner{.learning_rate = 1e-3f};
    Nesterov outer{};
  };

  DiLoCo(const TextData& text, Settings settings);

  const SharedState& state() const { return state_; }
  SharedState& state() { return state_; }  // for a sync to overwrite

  // Walks inner_steps away from the shared parameters and returns where from minus where to.
  // Changes nothing that is shared.
  std::vector<float> pseudo_gradient();

  // Moves the shared state by the average of all peers' pseudo-gradients.
  void outer_step(std::span<const float> average_pseudo_gradient);

  // Of the shared parameters, on text that no peer trains on.
  double held_out_loss() const;

 private:
  const TextData& text_;
  Settings settings_;
  SharedState state_;
  AdamW inner_optimizer_;
  std::mt19937_64 random_;
  std::vector<Window> held_out_;
};

}  // namespace train_bytes
