#include "optimizer.hpp"

#include <cmath>

namespace train_bytes {

AdamW::AdamW(std::size_t parameter_count, Settings settings)
    : settings_(settings), first_moment_(parameter_count), second_moment_(parameter_count) {}

void AdamW::step(std::span<float> parameters, std::span<const float> gradient) {
  const auto [learning_rate, first_decay, second_decay, weight_decay, epsilon] = settings_;
  const auto steps = static_cast<float>(++steps_);
  const float first_correction = 1.0f / (1.0f - std::pow(first_decay, steps));
  const float second_correction = 1.0f / (1.0f - std::pow(second_decay, steps));
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const float g = gradient[i];
    float& first = first_moment_[i];
    float& second = second_moment_[i];
    first = first_decay * first + (1.0f - first_decay) * g;
    second = second_decay * second + (1.0f - second_decay) * g * g;
    const float direction =
        first * first_correction / (std::sqrt(second * second_correction) + epsilon);
    parameters[i] -= learning_rate * (direction + weight_decay * parameters[i]);
  }
}

void Nesterov::step(std::span<float> parameters, std::span<float> velocity,
                    std::span<const float> pseudo_gradient) const {
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    velocity[i] = momentum * velocity[i] + pseudo_gradient[i];
    parameters[i] -= learning_rate * (pseudo_gradient[i] + momentum * velocity[i]);
  }
}

}  // namespace train_bytes
