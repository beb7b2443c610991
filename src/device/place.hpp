// Where bytes live.
#pragma once

#include <string>

namespace pccl::device {

enum class Place {
  host,     // memory that the CPU reads and writes: also what CUDA has pinned or registered
  managed,  // the same, but work of a GPU may be about to write it
  cuda,     // memory of a GPU
};

struct Location {
  Place place = Place::host;
  int gpu = 0;  // CUDA's number of it; of the host 0
  friend bool operator==(const Location&, const Location&) = default;
};

std::string name_of(const Location& location);  // "memory of GPU 3"

// Of the byte at an address, as CUDA's driver tells. A process that has not loaded the driver has
// no memory of a GPU: then, and without any CUDA at all, the answer is quick and the host. Once a
// GPU has failed all memory may count as a GPU's, the use of which fails with a reason. Any thread.
Location driver_location_of(const void* at);

}  // namespace pccl::device
