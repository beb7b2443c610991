// Every environment variable that the library reads at run time, parsed in one place. The table for
// users is docs/environment.md.
#pragma once

#include <cstdint>
#include <string>

#include "base/algorithm.hpp"
#include "base/time.hpp"

namespace pccl {

// Seconds as a decimal number, e.g. PCCL_PEER_TIMEOUT=3 or 0.5. Anything else than a number in
// [minimum, maximum] gives the default and a warning in the log.
Duration environment_seconds(const char* name, Duration default_value, Duration minimum,
                             Duration maximum);

// A whole number in [minimum, maximum], else the default and a warning.
std::uint64_t environment_number(const char* name, std::uint64_t default_value,
                                 std::uint64_t minimum, std::uint64_t maximum);

// 1 or 0 (default); anything else is 0 and a warning.
bool accept_restored_state_from_environment();  // PCCL_ACCEPT_RESTORED_STATE
bool remove_stragglers_from_environment();      // PCCL_REMOVE_STRAGGLERS

bool shared_memory_from_environment();  // PCCL_SHM, default 1

AlgorithmWish algorithm_from_environment();  // PCCL_ALGORITHM, default auto: what is faster

std::string congestion_control_from_environment();  // PCCL_CONGESTION_CONTROL, default cubic
std::string state_file_from_environment();          // PCCL_STATE_FILE, default none

Duration peer_timeout_from_environment();       // PCCL_PEER_TIMEOUT, default 3 s
Duration master_timeout_from_environment();     // PCCL_MASTER_TIMEOUT, default 60 s
Duration master_grace_from_environment();       // PCCL_MASTER_GRACE, default 1 s
Duration straggler_timeout_from_environment();  // PCCL_STRAGGLER_TIMEOUT, default 0: off
Duration connect_timeout_from_environment();    // PCCL_CONNECT_TIMEOUT, default 0: no limit

}  // namespace pccl
