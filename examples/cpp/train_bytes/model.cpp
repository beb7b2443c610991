#include "model.hpp"

#include <algorithm>
#include <cmath>
#include <random>

namespace train_bytes {
namespace {

// What the forward pass leaves behind for the backward pass.
struct Activations {
  std::array<float, Layout::input_size> input;
  std::array<float, hidden_size> hidden;
  std::array<float, byte_values> probability;
};

// out += scale * row
template <std::size_t n>
void add_scaled(float* out, float scale, const float* row) {
  for (std::size_t i = 0; i < n; ++i) out[i] += scale * row[i];
}

// Eight running sums, so that the compiler may use vector instructions without reordering
// additions.
template <std::size_t n>
float dot(const float* a, const float* b) {
  static_assert(n % 8 == 0);
  std::array<float, 8> sum{};
  for (std::size_t i = 0; i < n; i += 8) {
    for (std::size_t lane = 0; lane < 8; ++lane) sum[lane] += a[i + lane] * b[i + lane];
  }
  return ((sum[0] + sum[1]) + (sum[2] + sum[3])) + ((sum[4] + sum[5]) + (sum[6] + sum[7]));
}

void softmax(std::array<float, byte_values>& logits) {
  const float largest = *std::max_element(logits.begin(), logits.end());
  float sum = 0.0f;
  for (float& value : logits) sum += value = std::exp(value - largest);
  for (float& value : logits) value /= sum;
}

// Fills the activations and returns the loss of one window.
double forward(const float* parameters, const Window& window, Activations& at) {
  for (std::size_t position = 0; position < context_bytes; ++position) {
    const float* row = parameters + Layout::embedding + window[position] * embedding_size;
    std::copy_n(row, embedding_size, at.input.data() + position * embedding_size);
  }

  std::copy_n(parameters + Layout::hidden_bias, hidden_size, at.hidden.data());
  for (std::size_t i = 0; i < Layout::input_size; ++i) {
    const float* row = parameters + Layout::hidden_weights + i * hidden_size;
    add_scaled<hidden_size>(at.hidden.data(), at.input[i], row);
  }
  for (float& value : at.hidden) value = std::max(value, 0.0f);

  std::copy_n(parameters + Layout::output_bias, byte_values, at.probability.data());
  for (std::size_t i = 0; i < hidden_size; ++i) {
    const float* row = parameters + Layout::output_weights + i * byte_values;
    if (at.hidden[i] > 0.0f) add_scaled<byte_values>(at.probability.data(), at.hidden[i], row);
  }
  softmax(at.probability);
  return -std::log(std::max(at.probability[window.back()], 1e-30f));
}

// Adds one window's share, `weight` times its derivative, to the gradient.
void backward(const float* parameters, const Window& window, const Activations& at, float weight,
              float* gradient) {
  std::array<float, byte_values> d_logits = at.probability;
  d_logits[window.back()] -= 1.0f;
  for (float& value : d_logits) value *= weight;

  std::array<float, hidden_size> d_hidden{};
  add_scaled<byte_values>(gradient + Layout::output_bias, 1.0f, d_logits.data());
  for (std::size_t i = 0; i < hidden_size; ++i) {
    if (at.hidden[i] <= 0.0f) continue;  // relu: nothing flows back through a closed unit
    const std::size_t row = Layout::output_weights + i * byte_values;
    add_scaled<byte_values>(gradient + row, at.hidden[i], d_logits.data());
    d_hidden[i] = dot<byte_values>(parameters + row, d_logits.data());
  }

  add_scaled<hidden_size>(gradient + Layout::hidden_bias, 1.0f, d_hidden.data());
  for (std::size_t i = 0; i < Layout::input_size; ++i) {
    const std::size_t row = Layout::hidden_weights + i * hidden_size;
    add_scaled<hidden_size>(gradient + row, at.input[i], d_hidden.data());
    const std::size_t byte = window[i / embedding_size];
    gradient[Layout::embedding + byte * embedding_size + i % embedding_size] +=
        dot<hidden_size>(parameters + row, d_hidden.data());
  }
}

}  // namespace

std::vector<float> initial_parameters(std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<float> parameters(Layout::parameter_count, 0.0f);
  const auto fill = [&](std::size_t offset, std::size_t count, float standard_deviation) {
    std::normal_distribution<float> normal(0.0f, standard_deviation);
    for (std::size_t i = 0; i < count; ++i) parameters[offset + i] = normal(random);
  };
  fill(Layout::embedding, byte_values * embedding_size, 1.0f);
  fill(Layout::hidden_weights, Layout::input_size * hidden_size,
       std::sqrt(2.0f / static_cast<float>(Layout::input_size)));
  fill(Layout::output_weights, hidden_size * byte_values, 0.01f);  // starts almost undecided
  return parameters;
}

double mean_loss(std::span<const float> parameters, std::span<const Window> windows) {
  Activations activations;
  double sum = 0.0;
  for (const Window& window : windows) sum += forward(parameters.data(), window, activations);
  return sum / static_cast<double>(windows.size());
}

double mean_loss(std::span<const float> parameters, std::span<const Window> windows,
                 std::span<float> gradient) {
  Activations activations;
  const float weight = 1.0f / static_cast<float>(windows.size());
  double sum = 0.0;
  std::fill(gradient.begin(), gradient.end(), 0.0f);
  for (const Window& window : windows) {
    sum += forward(parameters.data(), window, activations);
    backward(parameters.data(), window, activations, weight, gradient.data());
  }
  return sum / static_cast<double>(windows.size());
}

}  // namespace train_bytes
