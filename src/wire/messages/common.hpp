// What messages of all kinds are made of.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <tuple>

#include "base/endpoint.hpp"
#include "base/ids.hpp"

namespace pccl::wire {

inline constexpr std::uint32_t magic = 0x4c434350;  // "PCCL"
inline constexpr std::uint16_t protocol_version = 9;

enum class Kind : std::uint8_t {
  hello = 1,
  welcome = 2,
  refused = 3,
  heartbeat = 4,
  call = 5,
  call_result = 6,
  epoch_proposed = 7,
  links_ready = 8,
  link_failed = 9,
  epoch_installed = 10,
  op_begin = 11,
  op_done = 12,
  op_verdict = 13,
  removed = 14,
  leave = 15,
  lane_hello = 16,
  lane_welcome = 17,
  sync_offer = 18,
  sync_elected = 19,
  sync_done = 20,
  sync_result = 21,
  state_wanted = 22,
  state_described = 23,
  holder_hello = 24,
  resume = 25,
  resume_end = 26,
  path_wanted = 27,
  path_measured = 28,
  path_hello = 29,
};

using Token = std::array<std::uint8_t, 16>;

struct Member {
  PeerId peer;
  Endpoint p2p;  // where its ring predecessor dials it
  static constexpr auto fields = std::tuple{&Member::peer, &Member::p2p};
  bool operator==(const Member&) const = default;
};

// Sizes of the run as the master counts them: accepted peers only.
struct RunCounts {
  std::uint32_t global_world_size = 0;
  std::uint32_t distinct_groups = 0;
  std::uint32_t largest_group_world_size = 0;
  static constexpr auto fields =
      std::tuple{&RunCounts::global_world_size, &RunCounts::distinct_groups,
                 &RunCounts::largest_group_world_size};
  bool operator==(const RunCounts&) const = default;
};

// Either side of a handshake: no, and why. The connection closes after it.
struct Refused {
  static constexpr Kind kind = Kind::refused;
  std::string why;
  static constexpr auto fields = std::tuple{&Refused::why};
};

}  // namespace pccl::wire
