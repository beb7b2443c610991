// A byte-level language model: the previous 8 bytes are embedded, one hidden layer looks at them,
// and a softmax over 256 says which byte comes next. Small enough to train on two cores in seconds,
// and with gradients written out by hand, so that nothing stands between the reader and the
// all-reduce.
//
//   x = embedding[byte 0] .. embedding[byte 7]     h = relu(x W1 + b1)     p = softmax(h W2 + b2)
//
// All parameters lie in one flat vector: that is what peers exchange.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace train_bytes {

inline constexpr std::size_t context_bytes = 8;
inline constexpr std::size_t embedding_size = 16;
inline constexpr std::size_t hidden_size = 192;
inline constexpr std::size_t byte_values = 256;

// One example: what the model sees and, as the last byte, what it should predict.
using Window = std::array<std::uint8_t, context_bytes + 1>;

// Where each matrix lies in the flat vector. Matrices are row-major, one row per input.
struct Layout {
  static constexpr std::size_t input_size = context_bytes * embedding_size;
  static constexpr std::size_t embedding = 0;
  static constexpr std::size_t hidden_weights = embedding + byte_values * embedding_size;
  static constexpr std::size_t hidden_bias = hidden_weights + input_size * hidden_size;
  static constexpr std::size_t output_weights = hidden_bias + hidden_size;
  static constexpr std::size_t output_bias = output_weights + hidden_size * byte_values;
  static constexpr std::size_t parameter_count = output_bias + byte_values;
};

std::vector<float> initial_parameters(std::uint64_t seed);

// Mean cross-entropy in nats per byte; ln 256 = 5.55 is a model that knows nothing.
double mean_loss(std::span<const float> parameters, std::span<const Window> windows);

// The same, and overwrites `gradient` with its derivative.
double mean_loss(std::span<const float> parameters, std::span<const Window> windows,
                 std::span<float> gradient);

}  // namespace train_bytes
