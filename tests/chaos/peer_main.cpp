// chaos_peer HOST PORT ID SLOT RUN_SEED LARGEST_OP_BYTES STATE_BYTES SYNC_AFTER_LOSS
//
// Trains with whoever is there, see trainer.hpp, and tells what it sees on stdout, see report.hpp.
// Leaves when its stdin says so or ends.
#include <signal.h>
#include <sys/prctl.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <sstream>
#include <string>
#include <thread>

#include "chaos/trainer.hpp"

namespace {

ccoip_socket_address_t address_of(const std::string& host, const char* port) {
  ccoip_socket_address_t address{};
  std::istringstream octets(host);
  std::string octet;
  for (auto& byte : address.inet.ipv4.data) {
    std::getline(octets, octet, '.');
    byte = static_cast<std::uint8_t>(std::stoul(octet));
  }
  address.port = static_cast<std::uint16_t>(std::strtoul(port, nullptr, 10));
  return address;
}

}  // namespace

int main(int argc, char** argv) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (argc != 8) return 2;
  const auto number = [argv](int i) { return std::strtoull(argv[i], nullptr, 10); };
  chaos::TrainerOptions options;
  options.master = address_of(argv[1], argv[2]);
  options.id = static_cast<std::uint32_t>(number(3));
  options.slot = static_cast<std::uint32_t>(number(4));
  options.run_seed = number(5);
  options.largest_op_bytes = number(6);
  options.state_bytes = number(7);
  pcclInit();
  chaos::Farewell farewell;
  std::thread reader([&farewell] {
    std::string line;
    std::getline(std::cin, line);
    farewell.say();
  });
  int code = 0;
  try {
    chaos::Trainer(options, farewell).run();
    reader.join();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "chaos_peer: %s\n", error.what());
    code = 3;
    reader.detach();
  }
  return code;
}
