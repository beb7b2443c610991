#include "diloco.hpp"

#include <cstdio>

namespace train_bytes {
namespace {

// Enough for a loss that is steady in the second digit, and still cheap beside the inner steps.
constexpr std::size_t held_out_window_count = 1024;

}  // namespace

std::string SharedState::parameter_hash() const {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const std::byte byte : std::as_bytes(std::span(parameters))) {
    hash = (hash ^ std::to_integer<std::uint64_t>(byte)) * 0x100000001b3;
  }
  char text[17];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(hash));
  return text;
}

DiLoCo::DiLoCo(const TextData& text, Settings settings)
    : text_(text),
      settings_(settings),
      state_{.parameters = initial_parameters(settings.seed),
             .velocity = std::vector<float>(Layout::parameter_count)},
      inner_optimizer_(Layout::parameter_count, settings.inner),
      random_(settings.seed),
      held_out_(text.held_out_windows(held_out_window_count)) {}

std::vector<float> DiLoCo::pseudo_gradient() {
  std::vector<float> walker = state_.parameters;
  std::vector<float> gradient(Layout::parameter_count);
  for (std::size_t i = 0; i < settings_.inner_steps; ++i) {
    mean_loss(walker, text_.sample(settings_.batch, random_), gradient);
    inner_optimizer_.step(walker, gradient);
  }
  for (std::size_t i = 0; i < walker.size(); ++i) walker[i] = state_.parameters[i] - walker[i];
  return walker;
}

void DiLoCo::outer_step(std::span<const float> average_pseudo_gradient) {
  settings_.outer.step(state_.parameters, state_.velocity, average_pseudo_gradient);
  ++state_.step;
}

double DiLoCo::held_out_loss() const {
  return mean_loss(state_.parameters, held_out_);
}

}  // namespace train_bytes
