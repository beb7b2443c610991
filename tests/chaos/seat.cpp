#include "chaos/seat.hpp"

#include <array>
#include <chrono>
#include <thread>
#include <utility>

#include "chaos/report.hpp"

namespace chaos {

void Farewell::say() {
  const std::lock_guard guard(mutex_);
  said_ = true;
  if (connecting_ != nullptr) pcclDestroyCommunicator(std::exchange(connecting_, nullptr));
}

pcclResult_t Farewell::connect(pcclComm_t* comm) {
  {
    const std::lock_guard guard(mutex_);
    if (said_) {
      pcclDestroyCommunicator(comm);
      throw Leaving{};
    }
    connecting_ = comm;
  }
  const pcclResult_t result = pcclConnect(comm);
  const std::lock_guard guard(mutex_);
  if (connecting_ == nullptr) throw Leaving{};
  connecting_ = nullptr;
  return result;
}

Seat::Seat(const ccoip_socket_address_t& master, std::uint64_t number, Farewell& farewell)
    : number_(number) {
  while (true) {
    pcclCommCreateParams_t params{};
    params.master_address = master;
    if (pcclCreateCommunicator(&params, &comm_) != pcclSuccess)
      throw std::runtime_error("pcclCreateCommunicator failed");
    const pcclResult_t result = farewell.connect(comm_);
    if (result == pcclSuccess) return;
    Report("refused", number_).send(pcclGetErrorString(result) + (": " + last_error()));
    pcclDestroyCommunicator(std::exchange(comm_, nullptr));
    if (result != pcclMasterConnectionFailed)
      throw std::runtime_error(std::string("pcclConnect: ") + pcclGetErrorString(result));
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
}

Seat::~Seat() {
  leave();
}

void Seat::leave() {
  if (comm_ != nullptr) pcclDestroyCommunicator(std::exchange(comm_, nullptr));
}

std::uint32_t Seat::world() const {
  int world = 0;
  check("pcclGetAttribute", pcclGetAttribute(comm_, PCCL_ATTRIBUTE_PEER_GROUP_WORLD_SIZE, &world));
  return static_cast<std::uint32_t>(world);
}

void Seat::check(const char* call, pcclResult_t result) const {
  if (result == pcclSuccess) return;
  const bool ours = result == pcclInvalidArgument || result == pcclInternalError ||
                    result == pcclPendingAsyncOps || result == pcclNotInitialized;
  if (ours) Report("wrong", number_).send(std::string(call) + ": " + last_error());
  throw Removed(std::string(call) + ": " + pcclGetErrorString(result) + " (" + last_error() + ")");
}

std::string Seat::last_error_of(pcclComm_t* comm) {
  std::array<char, 1000> text{};
  pcclGetLastError(comm, text.data(), text.size());
  return text.data();
}

}  // namespace chaos
