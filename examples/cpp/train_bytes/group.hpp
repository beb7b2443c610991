// A seat in the run: the C API with a destructor, and three outcomes instead of thirteen codes.
//
//   success              the call did what its name says, on every peer
//   false                a peer was lost, or the membership is news to us: nothing happened, on
//                        any peer; try again with those who remain
//   RemovedFromRun       the run goes on without us (we were frozen or cut off): take a new seat
//
// Anything else is a mistake in this program and ends it with std::runtime_error.
#pragma once

#include <pccl.h>

#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

namespace train_bytes {

struct RemovedFromRun : std::runtime_error {
  using std::runtime_error::runtime_error;
};

class Group {
 public:
  // Finds the master at one of the addresses, asking again for half a minute while there is none,
  // and then waits, without limit, until the peers of the run let us in.
  Group(const std::vector<ccoip_socket_address_t>& master_addresses, std::uint32_t peer_group);
  ~Group();
  Group(const Group&) = delete;
  Group& operator=(const Group&) = delete;

  // Collective: lets in whoever waits in pcclConnect. A newcomer skips it once, because the others
  // have just left it when they let the newcomer in.
  void admit_newcomers();

  // Reduces in place; false leaves the values as they were. A peer alone in its group has the
  // result already.
  [[nodiscard]] bool all_reduce(std::span<float> values, pcclRedOp_t op, std::uint64_t tag) {
    return all_reduce(values.data(), values.size(), pcclFloat, op, tag);
  }
  [[nodiscard]] bool all_reduce(std::span<std::uint64_t> values, pcclRedOp_t op,
                                std::uint64_t tag) {
    return all_reduce(values.data(), values.size(), pcclUint64, op, tag);
  }

  // Collective: afterwards all peers hold the same revision of the same entries. Whoever is behind
  // takes over what the others have; true if this peer did.
  bool synchronize(std::uint64_t& revision, std::span<pcclTensorInfo_t> entries);

  // As of the last admission, connect or failed all_reduce.
  int world_size() const;

  // What failed last, which peer and why.
  std::string last_error() const;

 private:
  bool connect(const ccoip_socket_address_t& master_address, std::uint32_t peer_group);
  bool all_reduce(void* values, std::size_t count, pcclDataType_t type, pcclRedOp_t op,
                  std::uint64_t tag);
  std::string describe(const char* call, pcclResult_t result) const;

  pcclComm_t* communicator_ = nullptr;
  int losses_in_a_row_ = 0;
};

}  // namespace train_bytes
