// How much memory this process holds through operator new: link live_bytes.cpp into a test that
// claims a bound. Not counted: malloc and its kin.
#pragma once

#include <cstddef>

namespace pccl::test {

std::size_t live_bytes();
std::size_t peak_bytes();  // the most at any time since start_peak()
void start_peak();

}  // namespace pccl::test
