// The arguments of an all-reduce, checked and in the library's own words.
#pragma once

#include "api/answer.hpp"
#include "node/peer_requests.hpp"
#include "pccl.h"

namespace pccl::api {

// Fills `request`, or says which argument is wrong. Looks at the arguments only, never at the run.
// `stream` is the application's (pcclSetStream).
Answer check_reduce(const void* send, void* receive, const pcclReduceDescriptor_t* descriptor,
                    device::Stream stream, node::ReduceRequest& request);

inline pcclReduceInfo_t reduce_info(const node::ReduceInfo& info) {
  return {info.world_size, info.tx_bytes, info.rx_bytes};
}

}  // namespace pccl::api
