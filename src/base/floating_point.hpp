// Our threads do arithmetic that every peer must repeat bit for bit, whatever the application has
// set.
#pragma once

namespace pccl {

// Rounds to nearest, keeps denormals, masks all exceptions; for the calling thread.
void use_standard_floating_point();

}  // namespace pccl
