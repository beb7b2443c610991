// Names of things that must not be mixed up: passing a Tag where an Epoch is wanted does not
// compile.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <string>

namespace pccl {

template <typename Purpose, typename Number = std::uint64_t>
struct StrongId {
  using Representation = Number;
  Number value{};

  constexpr StrongId() = default;
  constexpr explicit StrongId(Number number) : value(number) {}
  constexpr auto operator<=>(const StrongId&) const = default;
  constexpr StrongId next() const { return StrongId{static_cast<Number>(value + 1)}; }
};

using Term =
    StrongId<struct TermPurpose>;  // a master's life; a peer obeys one term and never goes back
using Epoch = StrongId<struct EpochPurpose>;  // a membership snapshot of a group; 0: none yet
using Group = StrongId<struct GroupPurpose, std::uint32_t>;  // peers that reduce with each other
using Tag = StrongId<struct TagPurpose>;                     // the application's name of an op
using Launch =
    StrongId<struct LaunchPurpose, std::uint32_t>;  // n-th launch of a tag in an epoch, from 0
using CallId = StrongId<struct CallPurpose>;  // a peer's unanimous call, numbered by that peer
using VerdictNumber =
    StrongId<struct VerdictPurpose>;  // a group's verdicts in the order of decision, from 1
using CallRound =
    StrongId<struct CallRoundPurpose>;  // a run's unanimous calls in the order of their answers

using Revision = StrongId<struct RevisionPurpose>;  // the application's counter of the shared state

// A peer's UUID, assigned by the master. All zero: nobody.
struct PeerId {
  std::uint64_t high = 0;
  std::uint64_t low = 0;
  constexpr auto operator<=>(const PeerId&) const = default;
  constexpr explicit operator bool() const { return high != 0 || low != 0; }
};

std::string to_string(const PeerId& peer);   // 32 hexadecimal digits
std::string short_name(const PeerId& peer);  // the first 8 of them, for logs and errors

// Peers that are admitted to the run together, or not yet. The same at all of them; 0: none.
struct Cohort {
  std::uint64_t id = 0;
  std::uint32_t size = 1;
  constexpr auto operator<=>(const Cohort&) const = default;
};

// One op: the collective that the members of a group run together.
struct OpKey {
  Epoch epoch;
  Tag tag;
  Launch launch;
  constexpr auto operator<=>(const OpKey&) const = default;
};

std::string to_string(const OpKey& key);  // tag 7 (launch 0, epoch 3)

}  // namespace pccl

template <typename Purpose, typename Number>
struct std::hash<pccl::StrongId<Purpose, Number>> {
  std::size_t operator()(const pccl::StrongId<Purpose, Number>& id) const noexcept {
    return std::hash<Number>{}(id.value);
  }
};

template <>
struct std::hash<pccl::PeerId> {
  std::size_t operator()(const pccl::PeerId& peer) const noexcept {
    return std::hash<std::uint64_t>{}(peer.high ^ (peer.low * 0x9e3779b97f4a7c15ULL));
  }
};
