// TCP over loopback for the bare loops: what the machine gives without any protocol.
#pragma once

#include <cstddef>
#include <utility>

namespace bench {

// Two ends of one connection, TCP_NODELAY on both.
std::pair<int, int> connected_pair();

void make_nonblocking(int fd);

// All `bytes` or the end of the process: the neighbour has died.
void write_all(int fd, const void* data, std::size_t bytes);
void read_all(int fd, void* data, std::size_t bytes);

}  // namespace bench
