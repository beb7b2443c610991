// The same run in C++.
#include <ccoip.h>
#include <pccl.h>

#include <iostream>
#include <stdexcept>
#include <string>

namespace {

void check(pcclResult_t result) {
  if (result != pcclSuccess) throw std::runtime_error(pcclGetErrorString(result));
}

int run(ccoip_socket_address_t address) {
  check(pcclInit());
  pcclMasterInstance_t *master = nullptr;
  check(pcclCreateMaster(address, &master));
  check(pcclRunMaster(master));
  pcclCommCreateParams_t params{};
  params.master_address = address;
  pcclComm_t *comm = nullptr;
  check(pcclCreateCommunicator(&params, &comm));
  check(pcclConnect(comm));
  int world = 0;
  check(pcclGetAttribute(comm, PCCL_ATTRIBUTE_GLOBAL_WORLD_SIZE, &world));
  check(pcclDestroyCommunicator(comm));
  check(pcclDestroyMaster(master));
  std::cout << "pccl " << pcclGetVersion() << ", world " << world << '\n';
  return world == 1 ? 0 : 1;
}

}  // namespace

int main(int argc, char **argv) {
  ccoip_socket_address_t address{};
  address.inet.ipv4 = {{127, 0, 0, 1}};
  address.port = argc > 1 ? static_cast<std::uint16_t>(std::stoi(argv[1])) : CCOIP_PROTOCOL_PORT_MASTER;
  try {
    return run(address);
  } catch (const std::exception &error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
