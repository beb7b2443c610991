// Every control message, declared once, in the pages of the folder: codec, dispatch, fuzz target
// and docs/protocol.md walk this list. A frame is `length u32 | kind u8 | term u64 | payload`,
// little-endian (framing.hpp); the payload is the message's fields in the order of its tuple
// (codec.hpp).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "base/time.hpp"
#include "wire/messages/epoch.hpp"
#include "wire/messages/op.hpp"
#include "wire/messages/run.hpp"
#include "wire/messages/shared_state.hpp"
#include "wire/messages/topology.hpp"

namespace pccl::wire {

using Message = std::variant<Hello, Welcome, Refused, Heartbeat, Call, CallResult, EpochProposed,
                             LinksReady, LinkFailed, EpochInstalled, OpBegin, OpDone, OpVerdict,
                             Removed, Leave, LaneHello, LaneWelcome, SyncOffer, SyncElected,
                             SyncDone, SyncResult, StateWanted, StateDescribed, HolderHello, Resume,
                             ResumeEnd, PathWanted, PathMeasured, PathHello>;

std::uint32_t microseconds(Duration duration);  // at most the largest that fits
std::string_view name_of(Kind kind);
Kind kind_of(const Message& message);
std::string describe(const OpDescriptor& descriptor);  // 1024 x float32 sum (ring)

}  // namespace pccl::wire
