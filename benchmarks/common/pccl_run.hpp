// A run on this machine: a master on a free port, and peers that follow the documented way of
// joining.
#pragma once

#include <cstdint>
#include <string>

#include "pccl.h"

namespace bench {

// Serves in this process until it goes out of scope.
class LocalMaster {
 public:
  LocalMaster();
  ~LocalMaster();
  LocalMaster(const LocalMaster&) = delete;
  LocalMaster& operator=(const LocalMaster&) = delete;
  std::uint16_t port() const { return port_; }

 private:
  pcclMasterInstance_t* master_ = nullptr;
  std::uint16_t port_ = 0;
};

class Peer {
 public:
  explicit Peer(std::uint16_t master_port, std::uint32_t pool_size = 0,
                const std::string& master_host = "127.0.0.1");
  ~Peer();
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;

  void connect();  // until some peer has admitted this one; ends the process on failure
  // Admits others, as everybody else in here does, until the group has `world` members.
  void gather(int world);
  int world() const;  // of the group, as last seen
  pcclComm_t* comm() const { return comm_; }

  // Ends the process, naming the call and the last error, unless the call succeeded.
  void require(pcclResult_t result, const char* call) const;
  std::string last_error() const;

 private:
  pcclComm_t* comm_ = nullptr;
};

pcclReduceDescriptor_t float_sum(std::size_t count, std::uint64_t tag);

}  // namespace bench
