// The ring across hosts, played: what PeerNode does for the shards.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <vector>

#include "base/status.hpp"
#include "node/peer_requests.hpp"

namespace pccl_test {

// Of one rank of each host.
class PeerGroup {
 public:
  explicit PeerGroup(std::size_t hosts) : hosts_(hosts) {}

  pccl::Outcome launch(const pccl::node::ReduceRequest& request);
  // All meet; the last to come reduces.
  pccl::Outcome await(std::uint64_t tag, pccl::node::ReduceInfo& info);
  std::vector<pccl::node::ReduceRequest> of(std::uint64_t tag);
  void forget();  // what has been launched

  pccl::Outcome refuses;             // launches
  std::vector<pccl::Outcome> fails;  // the next awaits of all, one after the other
  std::uint32_t world_size = 0;      // other than there are hosts

 private:
  // The lock is held.
  std::vector<pccl::node::ReduceRequest> find(std::uint64_t tag) const;
  void reduce(std::uint64_t tag);

  const std::size_t hosts_;
  std::mutex mutex_;
  std::condition_variable met_;
  std::vector<pccl::node::ReduceRequest> requests_;
  std::size_t waiting_ = 0, round_ = 0;
  pccl::Outcome outcome_;
};

}  // namespace pccl_test
