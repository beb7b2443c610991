// Planted bugs: the simulator must catch each of them. They exist only where PCCL_MUTANTS is
// defined (tests/sim); everywhere else mutant() is the constant false and the compiler drops the
// branch.
#pragma once

#include <cstdint>

namespace pccl {

enum class Mutant : std::uint8_t {
  none,
  early_commit,                // master: commits when all but one member are done
  commit_after_loss,           // master: a lost member counts as done
  epoch_not_bumped,            // master: the recovery keeps the old epoch number
  watermark_too_early,         // master: the watermark is the newest verdict, whoever has it
  install_before_ready,        // master: installs when the first member's links stand
  vote_forgets_a_member,       // master: a call completes with one voter missing
  pending_counted_as_members,  // master: counts include peers that are not admitted
  mismatch_ignored,            // master: descriptors are not compared
  frozen_peer_kept,            // master: never removes a silent peer
  sync_forgets_a_member,       // master: a sync starts with one offer missing
  sync_done_too_early,         // master: a sync ends when the first fetcher is done
  waits_for_nobody,            // master, restarted: settles when the first member is back
  known_verdict_ignored,       // master, restarted: does not tell a verdict to those who lack it
  known_answer_ignored,        // master, restarted: nor the answer to a unanimous call
  resumed_op_counts_as_done,   // master, restarted: who has begun an op counts as done with it
  epochs_begin_again,          // master, restarted: epoch numbers begin anew
  forgotten_verdict,           // peer: drops verdicts at once instead of at the watermark
  stale_launch_accepted,  // peer: launches under the newest epoch although the caller has not seen
                          // it
  result_of_a_sync_unseen,  // peer: a sync leaves the caller with the membership that it has seen
  ops_survive_epoch,        // peer: a recovery leaves the ops of the old epoch running
  missing_restore,          // collective: no copy before an in-place result is written
  restore_misses_owned_chunk,  // collective: the copy is taken for gathered segments only
  stale_segment_accepted,  // collective: a segment of an older launch is put into the current one
  credit_ignored,          // collective: sends without credit
  finished_too_early,      // collective: done when everything is sent, not received
};

#ifdef PCCL_MUTANTS
inline Mutant active_mutant = Mutant::none;
inline bool mutant(Mutant which) {
  return active_mutant == which;
}
#else
constexpr bool mutant(Mutant) {
  return false;
}
#endif

}  // namespace pccl
