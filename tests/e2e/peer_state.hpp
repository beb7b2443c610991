// The shared state of an e2e_peer: tensors of all types and odd sizes whose bytes follow from a
// seed, so that any process can say what they ought to be.
#pragma once

#include <pccl.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "e2e/values.hpp"

namespace e2e {

class State {
 public:
  // `tensors` of about `bytes` each; the last one has nothing. With `exempt` the first one may
  // differ between peers. Names begin with `prefix`.
  State(std::size_t tensors, std::size_t bytes, std::uint64_t seed, bool exempt,
        const std::string& prefix) {
    std::uint64_t random = seed * 0x9e3779b97f4a7c15ULL + 1;
    for (std::size_t i = 0; i < tensors; ++i) {
      const auto type = static_cast<pcclDataType_t>(i % 12);
      const std::size_t count = i + 1 == tensors ? 0 : (bytes + i * 7) / size_of(type) + 1;
      // One byte more than needed: the data begins at any alignment.
      std::vector<unsigned char>& memory = memory_.emplace_back(count * size_of(type) + 1);
      for (unsigned char& byte : memory) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        byte = static_cast<unsigned char>(random);
      }
      names_.push_back(prefix + std::to_string(i));
      infos_.push_back({nullptr, nullptr, count, type, pcclDeviceCpu, exempt && i == 0});
    }
    for (std::size_t i = 0; i < tensors; ++i) {
      infos_[i].name = names_[i].c_str();
      infos_[i].data = memory_[i].data() + i % 2;
    }
  }

  pcclSharedState_t view(std::uint64_t revision) {
    return {revision, infos_.size(), infos_.data()};
  }

  // Changes one byte in every `every` bytes of each tensor.
  void touch(std::size_t every) {
    for (const pcclTensorInfo_t& info : infos_)
      for (std::size_t at = 0; at < bytes_of(info); at += every)
        static_cast<unsigned char*>(info.data)[at] ^= 0x55;
  }

  // Of everything that has to be equal, or of what may differ.
  std::uint64_t digest(bool of_exempt) const {
    std::uint64_t hash = 0xcbf29ce484222325ULL;
    for (const pcclTensorInfo_t& info : infos_) {
      if (info.allow_content_inequality != of_exempt) continue;
      const auto* const octets = static_cast<const unsigned char*>(info.data);
      for (std::size_t i = 0; i < bytes_of(info); ++i) hash = (hash ^ octets[i]) * 0x100000001b3ULL;
    }
    return hash;
  }

 private:
  static std::size_t bytes_of(const pcclTensorInfo_t& info) {
    return info.count * size_of(info.datatype);
  }

  std::vector<std::string> names_;
  std::vector<std::vector<unsigned char>> memory_;
  std::vector<pcclTensorInfo_t> infos_;
};

}  // namespace e2e
