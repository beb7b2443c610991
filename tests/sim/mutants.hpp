// The planted bugs of base/mutant.hpp by name.
#pragma once

#include <array>
#include <string_view>
#include <utility>

#include "base/mutant.hpp"

namespace pccl::sim {

inline constexpr std::array mutants{
    std::pair{Mutant::early_commit, std::string_view("early_commit")},
    std::pair{Mutant::commit_after_loss, std::string_view("commit_after_loss")},
    std::pair{Mutant::epoch_not_bumped, std::string_view("epoch_not_bumped")},
    std::pair{Mutant::watermark_too_early, std::string_view("watermark_too_early")},
    std::pair{Mutant::install_before_ready, std::string_view("install_before_ready")},
    std::pair{Mutant::vote_forgets_a_member, std::string_view("vote_forgets_a_member")},
    std::pair{Mutant::pending_counted_as_members, std::string_view("pending_counted_as_members")},
    std::pair{Mutant::mismatch_ignored, std::string_view("mismatch_ignored")},
    std::pair{Mutant::frozen_peer_kept, std::string_view("frozen_peer_kept")},
    std::pair{Mutant::sync_forgets_a_member, std::string_view("sync_forgets_a_member")},
    std::pair{Mutant::sync_done_too_early, std::string_view("sync_done_too_early")},
    std::pair{Mutant::waits_for_nobody, std::string_view("waits_for_nobody")},
    std::pair{Mutant::known_verdict_ignored, std::string_view("known_verdict_ignored")},
    std::pair{Mutant::known_answer_ignored, std::string_view("known_answer_ignored")},
    std::pair{Mutant::resumed_op_counts_as_done, std::string_view("resumed_op_counts_as_done")},
    std::pair{Mutant::epochs_begin_again, std::string_view("epochs_begin_again")},
    std::pair{Mutant::forgotten_verdict, std::string_view("forgotten_verdict")},
    std::pair{Mutant::stale_launch_accepted, std::string_view("stale_launch_accepted")},
    std::pair{Mutant::result_of_a_sync_unseen, std::string_view("result_of_a_sync_unseen")},
    std::pair{Mutant::ops_survive_epoch, std::string_view("ops_survive_epoch")},
    std::pair{Mutant::missing_restore, std::string_view("missing_restore")},
    std::pair{Mutant::restore_misses_owned_chunk, std::string_view("restore_misses_owned_chunk")},
    std::pair{Mutant::stale_segment_accepted, std::string_view("stale_segment_accepted")},
    std::pair{Mutant::credit_ignored, std::string_view("credit_ignored")},
    std::pair{Mutant::finished_too_early, std::string_view("finished_too_early")},
};

// False: no such mutant, or none can be planted in this build.
inline bool plant([[maybe_unused]] std::string_view name) {
#ifdef PCCL_MUTANTS
  for (const auto& [mutant, its_name] : mutants)
    if (its_name == name) {
      active_mutant = mutant;
      return true;
    }
#endif
  return false;
}

}  // namespace pccl::sim
