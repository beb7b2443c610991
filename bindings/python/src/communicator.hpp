// pcclComm_t for Python: numbers in, result codes out; pccl/_communicator.py has the rest.
#pragma once

#include <pccl.h>
#include <pybind11/pybind11.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <tuple>
#include <vector>

#include "error_feedback.hpp"

namespace pccl_python {

class Communicator {
 public:
  // Throws std::invalid_argument for an address that is not a literal IPv4 or IPv6 one.
  Communicator(const std::string& ip, std::uint16_t port, std::uint32_t peer_group,
               std::uint32_t connections);
  ~Communicator();
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;

  // (code, local world size, sent bytes, received bytes)
  using Reduced = std::tuple<int, std::uint32_t, std::uint64_t, std::uint64_t>;
  // Addresses of the buffers, elements, and the enums' values.
  struct Operation {
    std::uintptr_t send, receive;
    std::size_t count;
    int type, op;
    std::uint64_t tag;
    int hint, quantized_type, quantization;
  };

  void destroy();
  int connect();
  int set_cohort(std::uint64_t cohort, std::uint32_t size);
  int set_stream(std::uintptr_t stream);  // cudaStream_t
  int attach_local(std::uintptr_t local, std::uintptr_t stream);  // ncclComm_t, cudaStream_t
  std::tuple<int, int> attribute(int which) const;
  int update_topology();
  std::tuple<int, bool> are_peers_pending();
  int optimize_topology();
  Reduced all_reduce(const Operation& operation, const ErrorFeedback* feedback);
  int all_reduce_async(const Operation& operation, const ErrorFeedback* feedback);
  Reduced await(std::uint64_t tag);
  Reduced all_reduce_multiple(const std::vector<Operation>& operations,
                              const std::vector<const ErrorFeedback*>& feedbacks,
                              int max_in_flight);
  // entries: (name, address, count, type, device, allow_content_inequality). Gives (code, revision,
  // sent bytes, received bytes).
  using Entry = std::tuple<std::string, std::uintptr_t, std::size_t, int, int, bool>;
  std::tuple<int, std::uint64_t, std::uint64_t, std::uint64_t> synchronize(
      std::uint64_t revision, const std::vector<Entry>& entries, int strategy);
  // (code, bytes here, bytes wanted). Any thread.
  std::tuple<int, std::uint64_t, std::uint64_t> sync_progress() const;
  std::string last_error() const;

 private:
  pcclComm_t* handle_ = nullptr;
  pid_t process_ = getpid();
};

void bind_communicator(pybind11::module_& module);

}  // namespace pccl_python
