// The loop of a training program that survives whatever happens to its peers, to the master and to
// itself; and that tells everything it sees.
//
//   admit    collective   whoever waits; a newcomer skips this once
//   sync     collective   one state for all; the revision is the step
//   compute  local        for a few milliseconds
//   reduce   collective   the ops of the step, until all of them have succeeded
//   advance  local        the state follows from the results
//
// A failed op is launched again until it succeeds, before anything else: some peers may see it fail
// more often than others. An op has one outcome on all members, so all of them do the same next. A
// peer alone drops the step.
#pragma once

#include <pccl.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "chaos/contribution.hpp"
#include "chaos/model.hpp"
#include "chaos/round.hpp"
#include "chaos/seat.hpp"
#include "chaos/tensor.hpp"

namespace chaos {

struct TrainerOptions {
  ccoip_socket_address_t master{};
  std::uint32_t id = 0;    // of this process, never used again
  std::uint32_t slot = 0;  // of the living ones
  std::uint64_t run_seed = 0;
  std::size_t largest_op_bytes = 4'000'000;
  std::size_t state_bytes = 300'000;
};

class Trainer {
 public:
  Trainer(const TrainerOptions& options, Farewell& farewell);
  void run();  // until told to leave

 private:
  enum class Outcome { done, lost, alone };

  void train_in(Seat& seat);
  void admit(Seat& seat, const Round& round);
  void synchronise(Seat& seat);
  bool reduce_all(Seat& seat, const Round& round);  // false: alone, the step is dropped
  Outcome reduce_once(Seat& seat, std::vector<Tensor>& tensors, Mode mode);
  Outcome blocking(Seat& seat, std::vector<Tensor>& tensors);
  Outcome async(Seat& seat, std::vector<Tensor>& tensors);
  Outcome many_with_retry(Seat& seat, std::vector<Tensor>& tensors);
  void fill(Seat& seat, Tensor& tensor);
  Outcome note(Seat& seat, Tensor& tensor, pcclResult_t result, std::uint32_t world);
  void wrong(const Seat& seat, const std::string& what) const;

  TrainerOptions options_;
  Farewell& farewell_;
  Model model_;
  std::mt19937_64 random_;  // of what is this peer's own business
  std::uint64_t next_launch_;
  std::uint64_t seats_ = 0;
};

}  // namespace chaos
