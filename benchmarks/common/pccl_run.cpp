#include "common/pccl_run.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>

namespace bench {

namespace {

constexpr const char* loopback = "127.0.0.1";

ccoip_socket_address_t address_of(const std::string& host, std::uint16_t port) {
  ccoip_socket_address_t address{};
  address.inet.protocol = inetIPv4;
  address.port = port;
  if (inet_pton(AF_INET, host.c_str(), &address.inet.ipv4) == 1) return address;
  std::fprintf(stderr, "%s is no IPv4 address\n", host.c_str());
  std::exit(1);
}

// Free a moment ago; LocalMaster tries another when it is taken by then.
std::uint16_t free_port() {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  const bool bound = bind(fd, reinterpret_cast<sockaddr*>(&address), length) == 0 &&
                     getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length) == 0;
  close(fd);
  return bound ? ntohs(address.sin_port) : std::uint16_t{0};
}

[[noreturn]] void give_up(const char* call, pcclResult_t result, const std::string& why) {
  std::fprintf(stderr, "process %d: %s: %s%s%s\n", getpid(), call, pcclGetErrorString(result),
               why.empty() ? "" : ": ", why.c_str());
  std::exit(1);
}

}  // namespace

LocalMaster::LocalMaster() {
  pcclResult_t result = pcclInternalError;
  for (int attempt = 0; attempt < 8; ++attempt) {
    port_ = free_port();
    result = pcclCreateMaster(address_of(loopback, port_), &master_);
    if (result != pcclSuccess) break;
    if ((result = pcclRunMaster(master_)) == pcclSuccess) return;
    pcclDestroyMaster(master_);
  }
  give_up("pcclRunMaster", result, "");
}

LocalMaster::~LocalMaster() {
  pcclInterruptMaster(master_);
  pcclMasterAwaitTermination(master_);
  pcclDestroyMaster(master_);
}

Peer::Peer(std::uint16_t master_port, std::uint32_t pool_size, const std::string& master_host) {
  pcclInit();
  pcclCommCreateParams_t params{};
  params.master_address = address_of(master_host, master_port);
  params.p2p_connection_pool_size = pool_size;
  const pcclResult_t result = pcclCreateCommunicator(&params, &comm_);
  if (result != pcclSuccess) give_up("pcclCreateCommunicator", result, "");
}

Peer::~Peer() {
  pcclDestroyCommunicator(comm_);
}

void Peer::connect() {
  require(pcclConnect(comm_), "pcclConnect");
}

// A newcomer enters this loop where the others are when their pcclUpdateTopology has admitted it:
// at the question how many there are.
void Peer::gather(int wanted) {
  while (world() < wanted) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    require(pcclUpdateTopology(comm_), "pcclUpdateTopology");
  }
}

int Peer::world() const {
  int size = 0;
  require(pcclGetAttribute(comm_, PCCL_ATTRIBUTE_PEER_GROUP_WORLD_SIZE, &size), "pcclGetAttribute");
  return size;
}

void Peer::require(pcclResult_t result, const char* call) const {
  if (result != pcclSuccess) give_up(call, result, last_error());
}

std::string Peer::last_error() const {
  char text[512] = "";
  pcclGetLastError(comm_, text, sizeof text);
  return text;
}

pcclReduceDescriptor_t float_sum(std::size_t count, std::uint64_t tag) {
  pcclReduceDescriptor_t descriptor{};
  descriptor.count = count;
  descriptor.op = pcclSum;
  descriptor.tag = tag;
  descriptor.src_descriptor.datatype = pcclFloat;
  return descriptor;
}

}  // namespace bench
