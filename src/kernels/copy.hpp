// Copies for what nobody reads soon.
#pragma once

#include <cstddef>

namespace pccl::kernels {

// As memcpy; where the CPU can, the destination is not read into the caches first, and does not
// displace what is there. Slower than memcpy when somebody reads it at once.
void copy_past_caches(void* to, const void* from, std::size_t bytes);

}  // namespace pccl::kernels
