// A PeerNode that does what a test says: it stands in for the real one at link time.
#pragma once

#include <cstdint>
#include <functional>
#include <set>
#include <vector>

#include "base/status.hpp"
#include "node/peer_node.hpp"

namespace pccl_test {

// One for the process; a test resets it.
struct Script {
  pccl::Outcome connect;
  std::function<pccl::Outcome(std::uint64_t tag)> launch = [](auto) { return pccl::Outcome{}; };
  std::function<pccl::Outcome(std::uint64_t tag)> await = [](auto) { return pccl::Outcome{}; };
  std::uint32_t world_size = 2;
  std::uint64_t bytes_per_op = 10;

  // What the API has done.
  int connects = 0;
  std::set<std::uint64_t> in_flight;
  std::vector<std::uint64_t> launched;  // in order, refused launches not counted
};

Script& script();

}  // namespace pccl_test
