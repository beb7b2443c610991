#include "kernels/digest.hpp"

#include <algorithm>
#include <iterator>

// The header carries the whole algorithm: nothing to link, for us and for who links libpccl.a.
#define XXH_INLINE_ALL
#include <xxhash.h>

namespace pccl::kernels {

namespace {

Digest canonical(const XXH128_hash_t& hash) {
  XXH128_canonical_t bytes;
  XXH128_canonicalFromHash(&bytes, hash);
  Digest digest;
  static_assert(sizeof bytes.digest == sizeof digest.octets);
  std::copy(std::begin(bytes.digest), std::end(bytes.digest), digest.octets.begin());
  return digest;
}

}  // namespace

Digest digest(std::span<const std::byte> bytes) {
  return canonical(XXH3_128bits(bytes.data(), bytes.size()));
}

std::span<const std::byte, 192> digest_secret() {
  return std::as_bytes(std::span(XXH3_kSecret));
}

struct Digester::State {
  XXH3_state_t xxh3;
};

Digester::Digester() : state_(std::make_unique<State>()) {
  XXH3_128bits_reset(&state_->xxh3);
}

Digester::~Digester() = default;

void Digester::add(std::span<const std::byte> bytes) {
  if (!bytes.empty()) XXH3_128bits_update(&state_->xxh3, bytes.data(), bytes.size());
}

Digest Digester::finish() {
  const Digest digest = canonical(XXH3_128bits_digest(&state_->xxh3));
  XXH3_128bits_reset(&state_->xxh3);
  return digest;
}

}  // namespace pccl::kernels
