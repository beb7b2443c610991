// All-reduce over several hosts with several GPUs each, of memory of the GPUs.
//
// A host has L local ranks, one GPU each. Rank i of every host is in peer group i, so there are L
// rings across the hosts, and each takes one *shard* of the tensor:
//   1. the ranks of the host agree to begin; NCCL's reduce-scatter gives each the sum of its shard
//   2. each shard is all-reduced across the hosts, in its rank's group
//   3. the ranks of the host agree how that has ended
//   4. NCCL's all-gather puts the shards into the receive buffers
// Only step 4 writes where the caller sees it, and only after all ranks have succeeded. NCCL is
// called in the caller's calls alone, since the order of its calls matters and the communicator is
// the caller's.
//
// What L does not divide: rank i's shard is the i-th part of count / L elements, and one of the
// remainder, the *tail*, which is filled up with copies of its last element. So the tensor itself
// is never copied to be padded.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "base/status.hpp"
#include "device/local_ranks.hpp"
#include "device/workspace.hpp"
#include "node/peer_requests.hpp"

namespace pccl::hierarchical {

// Step 2: PeerNode's, or a test's. Sends and receives in place, in memory of the GPU that nothing
// else uses meanwhile.
struct AcrossHosts {
  std::function<Outcome(const node::ReduceRequest& shard)> launch;
  std::function<Outcome(std::uint64_t tag, node::ReduceInfo& info)> await;
  device::Presence presence;
};

class AllReduce {
 public:
  // `block`: of so many peer groups as there are ranks, the one this host's ranks are in.
  explicit AllReduce(std::unique_ptr<device::LocalRanks> ranks, std::uint32_t block = 0)
      : ranks_(std::move(ranks)), block_(block) {}

  // Returns when step 1 has been done and step 2 begun. `checked` is what is known of the request
  // by now: a refusal of one rank is one of all. Without error feedback.
  Outcome launch(const AcrossHosts& hosts, const Outcome& checked,
                 const node::ReduceRequest& request);
  // Steps 2 to 4. Once per launched op; the receive buffer is complete when it succeeds.
  Outcome await(const AcrossHosts& hosts, std::uint64_t tag, node::ReduceInfo& info);

  bool in_flight(std::uint64_t tag) const { return ops_.contains(tag); }

 private:
  struct Op {
    node::ReduceRequest request;  // the caller's
    Outcome launched;             // of step 2
    std::size_t part = 0;         // elements of a shard that are not of the tail
    std::size_t tail = 0;         // elements
    device::Memory scratch;       // the shard; behind it the tail of all ranks
    std::byte* tails = nullptr;
    std::shared_ptr<device::Workspace> workspace;  // for step 2, until it has been launched

    std::size_t element_bytes() const { return size_of(request.type); }
    std::size_t shard() const { return part + (tail > 0 ? 1 : 0); }  // elements
    std::byte* tail_of_shard() const { return scratch.data() + part * element_bytes(); }
  };

  using Ops = std::map<std::uint64_t, Op>;  // by tag

  Outcome check(const node::ReduceRequest& request, const device::Presence& presence) const;
  Outcome prepare(const node::ReduceRequest& request, const device::Presence& presence,
                  Ops& prepared) const;
  Outcome take_memory(Op& op) const;
  Outcome reduce_scatter(Op& op, const device::Presence& presence);
  Outcome all_gather(Op& op, std::uint32_t hosts, const device::Presence& presence);
  Outcome agree(const Outcome& mine, std::uint64_t call, std::uint64_t number,
                const Outcome& not_the_same, const device::Presence& presence);

  const std::unique_ptr<device::LocalRanks> ranks_;
  const std::uint32_t block_;
  Ops ops_;
};

}  // namespace pccl::hierarchical
