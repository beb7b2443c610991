// Every bound that is part of the protocol or of a promise, in one place.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/time.hpp"

namespace pccl::limits {

using namespace std::chrono_literals;

// A control frame's payload. Largest in practice: a proposal for a thousand peers, about 50 KiB.
inline constexpr std::size_t control_frame_bytes = 256 << 10;
// Before the handshake has told who sends it, a frame may carry a greeting and no more.
inline constexpr std::size_t greeting_frame_bytes = 1 << 10;
// Texts in messages are cut to this length.
inline constexpr std::size_t reason_bytes = 1000;

// A connection that has not introduced itself is closed after this time.
inline constexpr Duration handshake_deadline = 5s;
// Connections of one address that have not introduced themselves yet; one more closes the oldest of
// them.
inline constexpr std::size_t unintroduced_per_address = 64;
inline constexpr std::size_t unintroduced_in_total = 512;

// A peer that has lost its master dials it again after a pause that doubles from the first to the
// longest of these: several dials fit into the time for which a fresh master waits for such peers
// (PCCL_MASTER_GRACE).
inline constexpr Duration first_redial_pause = 20ms;
inline constexpr Duration longest_redial_pause = 250ms;
inline constexpr Duration redial_deadline = 1s;

// Largest bytes of one peer's input that travel through the master (star all-reduce).
inline constexpr std::size_t star_bytes = 32 << 10;

// Epochs, rounds and revisions are below this: no honest peer gets so far, and the numbers of a
// liar cannot wrap around. Epochs are counted from the term on, so terms end earlier.
inline constexpr std::uint64_t highest_number = std::uint64_t{1} << 62;
inline constexpr std::uint64_t highest_term = std::uint64_t{1} << 61;

// Peers of one run.
inline constexpr std::size_t peers = 4096;

// Bytes of one op: its schedule is counted in 32 bits.
inline constexpr std::size_t op_bytes = std::size_t{64} << 40;

// Ops that one communicator may have in flight.
inline constexpr std::size_t ops_in_flight = 1024;

// What a peer says again to a master that was started again: verdicts that void an op (of those
// that commit one it is enough to know as many as ops may be in flight), and messages in all.
inline constexpr std::size_t resumed_void_verdicts = 4096;
inline constexpr std::size_t resume_messages = 16384;
// A peer reports after so many verdicts at the latest that it has them, and the master then says
// which may be forgotten.
inline constexpr std::uint64_t verdicts_per_report = 64;
// Removed peers whose reason a master remembers, for when they ask.
inline constexpr std::size_t remembered_removals = 256;

// A segment: small enough to stay in a core's L2 between receive, reduce and send, large enough
// that its header and one wake-up cost nothing (benchmarks/all_reduce_perf).
inline constexpr std::size_t segment_bytes = 256 << 10;
inline constexpr std::size_t smallest_segment_bytes = 128 << 10;
// Segments of an op that a sender has under way before it needs an earlier one back
// (plan/ring_schedule): the first on short links; on long ones as many as are on their way at this
// rate, up to the second.
inline constexpr std::uint32_t ring_depth = 4;
inline constexpr std::uint32_t longest_ring_depth = 64;
inline constexpr double ring_bytes_per_second = 400e6;
// Up to here one op can keep a link busy, and large ones take turns (collective/exchange).
inline constexpr Duration short_link_rtt = std::chrono::milliseconds(1);
// Of a result of so many bytes nothing is still in a cache when the application reads it.
inline constexpr std::size_t cached_bytes = 4 << 20;
// Scratch of all ops together, beyond what each needs to go on at all.
inline constexpr std::size_t shared_scratch_bytes = 64 << 20;

// Segments may be sent before the receiver has launched the op and granted credit: half a round
// trip earlier. So many bytes of one op, and of all ops of a link that no credit has answered yet;
// each segment counts as no less than the third, since it may take a block where it arrives.
inline constexpr std::size_t eager_op_bytes = 2 << 20;
inline constexpr std::size_t eager_link_bytes = 4 << 20;
inline constexpr std::size_t least_eager_cost_bytes = 32 << 10;
constexpr std::size_t eager_cost(std::size_t length) {
  return length < least_eager_cost_bytes ? least_eager_cost_bytes : length;
}

// Lanes of one link that a peer accepts at most.
inline constexpr std::uint32_t lanes_per_link = 64;
// Opened when the pool size is 0: as many as keep this rate over the link's round trip, at so many
// bytes under way on each (of the 4 MiB that a Linux socket may buffer for sending by default,
// something more than half are payload).
inline constexpr std::uint32_t fewest_automatic_lanes = 2;
inline constexpr std::uint32_t most_automatic_lanes = 8;
inline constexpr double lane_bytes_under_way = 2 << 20;

// Shared state: blocks have this size, or a multiple that leaves a state with no more blocks than
// the limit, so that the list of their digests stays small beside it.
inline constexpr std::size_t smallest_state_block_bytes = 256 << 10;
inline constexpr std::size_t state_blocks = 1 << 20;
inline constexpr std::size_t state_block_bytes = 64 << 20;  // the largest: for a state of 64 TiB
inline constexpr std::size_t digests_bytes = 1 << 20;       // of one frame
inline constexpr std::size_t state_entries = 1 << 18;
inline constexpr std::size_t state_names_bytes = 8 << 20;  // in all
// Holders that one peer fetches from at once.
inline constexpr std::size_t state_sources = 16;

// pcclOptimizeTopology. A path is loaded until its rate is steady, a second or less as a rule, but
// no longer than the first and so many round trips, nor than the second; over so many lanes, or as
// many as a link has, within these; in frames of this size.
inline constexpr Duration short_path_load_time = 1s;
inline constexpr int path_load_round_trips = 10;
inline constexpr Duration path_load_time = 4s;
inline constexpr std::uint32_t least_path_lanes = 4;
inline constexpr std::uint32_t most_path_lanes = 16;
inline constexpr std::size_t load_bytes = 64 << 10;
// Larger groups keep their ring; and one call has so many rounds of measurements at most, what is
// missing then comes in later calls.
inline constexpr std::size_t optimized_ring = 512;
inline constexpr std::size_t measuring_rounds = 64;

// Freed rollback blocks are kept for the next op up to this total (fresh pages cost ten times the
// copy).
inline constexpr std::size_t rollback_pool_bytes = std::size_t{1} << 30;

// The other ranks of a host may hang in NCCL. Who has been removed from the run, and may be the only
// one that knows, waits for them so long and no longer.
inline constexpr Duration local_ranks_grace = 3s;

}  // namespace pccl::limits
