// Where bytes live.
#pragma once

namespace pccl::device {

enum class Place {
  host,  // memory that the CPU reads and writes: also what CUDA has pinned, registered or manages
  cuda,  // memory of a GPU
};

// Of the byte at an address, as CUDA's driver tells. A process that has not loaded the driver has
// no memory of a GPU: then, and without any CUDA at all, the answer is quick and `host`. Any
// thread.
Place place_of(const void* at);

}  // namespace pccl::device
