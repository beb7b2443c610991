// The buffers of an op that e2e_peer was told to run.
#pragma once

#include <pccl.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "e2e/peer_lines.hpp"
#include "e2e/values.hpp"

namespace e2e {

inline std::uint64_t digest(const void* data, std::size_t bytes) {
  std::uint64_t hash = 0xcbf29ce484222325ULL;
  const auto* const octets = static_cast<const unsigned char*>(data);
  for (std::size_t i = 0; i < bytes; ++i) hash = (hash ^ octets[i]) * 0x100000001b3ULL;
  return hash;
}

inline pcclReduceDescriptor_t descriptor_of(const Command& command) {
  pcclReduceDescriptor_t descriptor{};
  descriptor.count = command.number("count");
  descriptor.tag = command.number("tag");
  descriptor.op = static_cast<pcclRedOp_t>(command.number("op"));
  descriptor.src_descriptor.datatype =
      static_cast<pcclDataType_t>(command.number("type", pcclFloat));
  return descriptor;
}

// The buffers of one op, and what is to be found in them afterwards.
class Tensor {
 public:
  Tensor(const pcclReduceDescriptor_t& descriptor, bool in_place, std::uint32_t id,
         std::uint32_t world, std::uint64_t seed)
      : descriptor_(descriptor), world_(world), seed_(seed) {
    const pcclDataType_t type = descriptor.src_descriptor.datatype;
    const std::size_t element = size_of(type), count = descriptor.count;
    input_.resize(count * element);
    for (std::size_t i = 0; i < count; ++i)
      put(input_.data() + i * element, type, input(id, world, i, seed, type, descriptor.op));
    send_ = input_;
    if (!in_place) receive_.assign(input_.size(), std::byte{0x5a});
    in_place_ = in_place;
  }
  void* send() { return send_.data(); }
  void* receive() { return in_place_ ? send_.data() : receive_.data(); }
  const pcclReduceDescriptor_t& descriptor() const { return descriptor_; }

  void report(pcclResult_t result, Words& words) const {
    const auto& output = in_place_ ? send_ : receive_;
    if (result == pcclSuccess) {
      words.add("right", is_right(output)).add("digest", digest(output.data(), output.size()));
      if (!in_place_) words.add("intact", send_ == input_);
    } else {
      words.add("intact", send_ == input_);
    }
  }
  bool is_right() const { return is_right(in_place_ ? send_ : receive_); }

 private:
  bool is_right(const std::vector<std::byte>& output) const {
    const pcclDataType_t type = descriptor_.src_descriptor.datatype;
    const std::size_t element = size_of(type);
    std::byte right[8];
    for (std::size_t i = 0; i < descriptor_.count; ++i) {
      put(right, type, expected(world_, i, seed_, type, descriptor_.op));
      if (std::memcmp(right, output.data() + i * element, element) != 0) return false;
    }
    return true;
  }

  pcclReduceDescriptor_t descriptor_;
  std::uint32_t world_;
  std::uint64_t seed_;
  bool in_place_ = false;
  std::vector<std::byte> input_, send_, receive_;
};

}  // namespace e2e
