#include "wire/messages.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

namespace pccl::wire {

std::uint32_t microseconds(Duration duration) {
  constexpr std::int64_t most = std::numeric_limits<std::uint32_t>::max();
  const auto count = std::chrono::duration_cast<std::chrono::microseconds>(duration).count();
  return static_cast<std::uint32_t>(std::clamp<std::int64_t>(count, 0, most));
}

std::string_view name_of(Kind kind) {
  switch (kind) {
    case Kind::hello:
      return "hello";
    case Kind::welcome:
      return "welcome";
    case Kind::refused:
      return "refused";
    case Kind::heartbeat:
      return "heartbeat";
    case Kind::call:
      return "call";
    case Kind::call_result:
      return "call_result";
    case Kind::epoch_proposed:
      return "epoch_proposed";
    case Kind::links_ready:
      return "links_ready";
    case Kind::link_failed:
      return "link_failed";
    case Kind::epoch_installed:
      return "epoch_installed";
    case Kind::op_begin:
      return "op_begin";
    case Kind::op_done:
      return "op_done";
    case Kind::op_verdict:
      return "op_verdict";
    case Kind::removed:
      return "removed";
    case Kind::leave:
      return "leave";
    case Kind::lane_hello:
      return "lane_hello";
    case Kind::lane_welcome:
      return "lane_welcome";
    case Kind::sync_offer:
      return "sync_offer";
    case Kind::sync_elected:
      return "sync_elected";
    case Kind::sync_done:
      return "sync_done";
    case Kind::sync_result:
      return "sync_result";
    case Kind::state_wanted:
      return "state_wanted";
    case Kind::state_described:
      return "state_described";
    case Kind::holder_hello:
      return "holder_hello";
    case Kind::resume:
      return "resume";
    case Kind::resume_end:
      return "resume_end";
    case Kind::path_wanted:
      return "path_wanted";
    case Kind::path_measured:
      return "path_measured";
    case Kind::path_hello:
      return "path_hello";
  }
  return "unknown";
}

Kind kind_of(const Message& message) {
  return std::visit([](const auto& content) { return content.kind; }, message);
}

std::string describe(const OpDescriptor& descriptor) {
  const std::string quantized =
      descriptor.quantization == QuantizationAlgorithm::none
          ? ""
          : fmt::format(", {} to {}", pccl::name_of(descriptor.quantization),
                        pccl::name_of(descriptor.code));
  return fmt::format("{} x {} {} ({}{})", descriptor.count, pccl::name_of(descriptor.type),
                     pccl::name_of(descriptor.op),
                     name_of(descriptor.algorithm), quantized);
}

}  // namespace pccl::wire
