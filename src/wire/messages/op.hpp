// All-reduces.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <tuple>
#include <vector>

#include "base/algorithm.hpp"
#include "base/dtype.hpp"
#include "base/ids.hpp"
#include "base/quantization.hpp"
#include "wire/messages/common.hpp"

namespace pccl::wire {

using pccl::Algorithm;

// What all members must agree on.
struct OpDescriptor {
  std::uint64_t count = 0;
  DataType type = DataType::float32;
  RedOp op = RedOp::sum;
  Algorithm algorithm = Algorithm::ring;
  QuantizationAlgorithm quantization = QuantizationAlgorithm::none;
  Code code = Code::uint8;  // when quantized
  static constexpr auto fields =
      std::tuple{&OpDescriptor::count,     &OpDescriptor::type,         &OpDescriptor::op,
                 &OpDescriptor::algorithm, &OpDescriptor::quantization, &OpDescriptor::code};
  bool operator==(const OpDescriptor&) const = default;
};

// peer → master: I have launched this op. Nobody waits for an answer.
struct OpBegin {
  static constexpr Kind kind = Kind::op_begin;
  OpKey op;
  OpDescriptor descriptor;
  std::vector<std::byte> input;  // star only: my elements
  static constexpr auto fields = std::tuple{&OpBegin::op, &OpBegin::descriptor, &OpBegin::input};
};

// peer → master: I hold the whole result.
struct OpDone {
  static constexpr Kind kind = Kind::op_done;
  OpKey op;
  static constexpr auto fields = std::tuple{&OpDone::op};
};

enum class OpOutcome : std::uint8_t {
  committed = 0,   // every member holds the result
  aborted = 1,     // void for all: call again
  mismatched = 2,  // void for all: the descriptors differ
};
inline constexpr std::uint8_t op_outcome_count = 3;

// master → members: how the op ended, decided once.
struct OpVerdict {
  static constexpr Kind kind = Kind::op_verdict;
  OpKey op;
  VerdictNumber number;  // counts the verdicts of the epoch
  OpOutcome outcome = OpOutcome::aborted;
  std::vector<std::byte> result;  // star only
  std::string why;
  static constexpr auto fields = std::tuple{&OpVerdict::op, &OpVerdict::number, &OpVerdict::outcome,
                                            &OpVerdict::result, &OpVerdict::why};
};

}  // namespace pccl::wire
