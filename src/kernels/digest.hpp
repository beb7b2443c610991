// Digests of bytes: XXH3-128 in its canonical (big-endian) form, so that every CPU gives the same
// (xxhash.com, "XXH3"). A float's NaN payload or the sign of its zero are bytes like any other.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "base/digest.hpp"

namespace pccl::kernels {

Digest digest(std::span<const std::byte> bytes);

// What XXH3 mixes its input with; a GPU has to be told (kernels/cuda/kernels.hpp).
std::span<const std::byte, 192> digest_secret();

// The same for bytes that come in parts: as if they were one after the other in memory.
class Digester {
 public:
  Digester();
  ~Digester();
  Digester(const Digester&) = delete;
  Digester& operator=(const Digester&) = delete;

  void add(std::span<const std::byte> bytes);
  Digest finish();  // and starts anew

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace pccl::kernels
