// The buffers of one op at one peer, and what the library may and may not have done to them.
#pragma once

#include <pccl.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "chaos/contribution.hpp"
#include "chaos/mix.hpp"

namespace chaos {

class Tensor {
 public:
  Tensor(const Op& op, bool in_place) : op_(op), in_place_(in_place) {
    send_.resize(op.bytes() + 2 * margin);
    if (!in_place) receive_.resize(send_.size());
  }

  // The input of a new launch.
  void fill(const Launch& launch) {
    launch_ = launch;
    input_ = contribution(op_, launch);
    for (auto* buffer : {&send_, &receive_}) std::fill(buffer->begin(), buffer->end(), fence);
    std::copy(input_.begin(), input_.end(), send_.begin() + margin);
  }

  const Op& op() const { return op_; }
  const Launch& launch() const { return launch_; }
  pcclReduceOpDescriptor_t descriptor() {
    pcclReduceOpDescriptor_t described{};
    described.sendbuf = send_.data() + margin;
    described.recvbuf = (in_place_ ? send_ : receive_).data() + margin;
    described.descriptor.count = op_.count;
    described.descriptor.op = op_.op;
    described.descriptor.tag = op_.tag;
    described.descriptor.src_descriptor.datatype = op_.type;
    return described;
  }

  std::vector<std::byte> result() const {
    const auto& buffer = in_place_ ? send_ : receive_;
    return {buffer.begin() + margin, buffer.end() - margin};
  }
  // Whether the send buffer is what it has to be after the call, and nothing around was written.
  bool is_intact(bool success) const {
    return fenced(send_) && (in_place_ || fenced(receive_)) &&
           ((in_place_ && success) ||
            std::equal(input_.begin(), input_.end(), send_.begin() + margin));
  }

  bool done = false;
  std::uint64_t digest = 0;  // of the result

 private:
  static constexpr std::ptrdiff_t margin = 64;
  static constexpr std::byte fence{0x5a};

  static bool fenced(const std::vector<std::byte>& buffer) {
    const auto is_fence = [](std::byte byte) { return byte == fence; };
    return std::all_of(buffer.begin(), buffer.begin() + margin, is_fence) &&
           std::all_of(buffer.end() - margin, buffer.end(), is_fence);
  }

  Op op_;
  bool in_place_;
  Launch launch_;
  std::vector<std::byte> input_, send_, receive_;
};

}  // namespace chaos
