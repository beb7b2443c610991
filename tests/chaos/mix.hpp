// Numbers that look random and that every process computes alike.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>

namespace chaos {

inline std::uint64_t mix(std::uint64_t x) {  // the finalizer of SplitMix64 (Steele et al., 2014)
  x += 0x9e3779b97f4a7c15ULL;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}

inline std::uint64_t mix(std::initializer_list<std::uint64_t> words) {
  std::uint64_t mixed = 0;
  for (const std::uint64_t word : words) mixed = mix(mixed ^ word);
  return mixed;
}

// Eight bytes at a time: megabytes are digested at every step of every peer.
inline std::uint64_t digest(const std::byte* data, std::size_t bytes) {
  std::uint64_t hash = 0xcbf29ce484222325ULL ^ bytes;
  for (std::size_t at = 0; at < bytes; at += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, data + at, bytes - at < 8 ? bytes - at : 8);
    hash = (hash ^ word) * 0x9fb21c651e98df25ULL;
    hash ^= hash >> 32;
  }
  return hash;
}

}  // namespace chaos
