// Tensors on GPUs that a FakeRuntime plays.
#pragma once

#include <cstring>
#include <span>
#include <vector>

#include "device/fake_runtime.hpp"
#include "shared_state/state.hpp"

namespace pccl::shared_state::test {

using Views = std::vector<TensorView>;

// A copy of the tensor `offset` bytes behind the beginning of an allocation.
inline TensorView on_gpu(pccl_test::FakeRuntime& cuda, const TensorView& tensor, int gpu = 0,
                         std::size_t offset = 0) {
  if (tensor.bytes == 0) return tensor;
  std::byte* const at = cuda.device_memory(tensor.bytes + offset, gpu) + offset;
  std::memcpy(at, tensor.data, tensor.bytes);
  return {at, tensor.bytes, device::Gpu::at(gpu)};
}

inline Views all_on_gpu(pccl_test::FakeRuntime& cuda, Views tensors) {
  for (TensorView& tensor : tensors) tensor = on_gpu(cuda, tensor);
  return tensors;
}

// About this part of them, on two GPUs, some unaligned.
inline Views some_on_gpus(pccl_test::FakeRuntime& cuda, Views tensors, double part, Rng& rng) {
  for (TensorView& tensor : tensors)
    if (rng.chance(part))
      tensor =
          on_gpu(cuda, tensor, static_cast<int>(rng.below(2)), rng.chance(0.3) ? rng.below(16) : 0);
  return tensors;
}

// As it is now, wherever it lies.
inline Tensors content_of(std::span<const TensorView> tensors) {
  Tensors content;
  for (const TensorView& tensor : tensors)
    content.emplace_back(tensor.data, tensor.data + tensor.bytes);
  return content;
}

}  // namespace pccl::shared_state::test
