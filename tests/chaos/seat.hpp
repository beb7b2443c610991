// A seat in the run: a communicator from pcclConnect to pcclDestroyCommunicator.
#pragma once

#include <pccl.h>

#include <atomic>
#include <cstdint>
#include <mutex>
#include <stdexcept>
#include <string>

namespace chaos {

// The run goes on without this peer, or the peers of the run have fallen apart: take a new seat.
struct Removed : std::runtime_error {
  using std::runtime_error::runtime_error;
};
// Told to leave.
struct Leaving {};

// Told on another thread, which may have to end a pcclConnect.
class Farewell {
 public:
  void say();
  bool said() const { return said_; }
  void check() const {
    if (said_) throw Leaving{};
  }
  // pcclConnect, unless told to leave: then the communicator is gone and Leaving is thrown.
  pcclResult_t connect(pcclComm_t* comm);

 private:
  std::mutex mutex_;
  std::atomic<bool> said_ = false;
  pcclComm_t* connecting_ = nullptr;
};

class Seat {
 public:
  // Asks until it is let in: masters come and go.
  Seat(const ccoip_socket_address_t& master, std::uint64_t number, Farewell& farewell);
  ~Seat();
  Seat(const Seat&) = delete;
  Seat& operator=(const Seat&) = delete;

  pcclComm_t* comm() const { return comm_; }
  std::uint64_t number() const { return number_; }
  void leave();  // at once, whatever is in flight
  std::uint32_t world() const;
  std::string last_error() const { return last_error_of(comm_); }
  void check(const char* call, pcclResult_t result) const;  // throws Removed

 private:
  static std::string last_error_of(pcclComm_t* comm);

  pcclComm_t* comm_ = nullptr;
  std::uint64_t number_;
};

}  // namespace chaos
