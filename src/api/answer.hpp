// What a function of pccl.h answers: the code it returns, and the words for pcclGetLastError.
#pragma once

#include <exception>
#include <string>
#include <utility>

#include "base/log.hpp"
#include "base/status.hpp"
#include "pccl.h"

namespace pccl::api {

struct Answer {
  pcclResult_t result = pcclSuccess;
  std::string why;

  bool ok() const { return result == pcclSuccess; }
};

inline Answer success() {
  return {};
}
inline Answer invalid_argument(std::string why) {
  return {pcclInvalidArgument, std::move(why)};
}
inline Answer invalid_usage(std::string why) {
  return {pcclInvalidUsage, std::move(why)};
}

bool initialized();  // pcclInit has been called

// The codes of contract.md 1.4. One status means different things to different calls: a lost master
// is a failed connection to pcclConnect and a failed topology change to pcclUpdateTopology.
pcclResult_t connect_result(Status status);
pcclResult_t update_topology_result(Status status);
pcclResult_t are_peers_pending_result(Status status);
pcclResult_t optimize_topology_result(Status status);
pcclResult_t launch_result(Status status);
pcclResult_t await_result(Status status);
pcclResult_t synchronize_result(Status status);
pcclResult_t master_result(Status status);

// "peer lost: <why>"; empty for ok.
std::string text_of(const Outcome& outcome);

inline Answer answer_of(pcclResult_t (*result_of)(Status), const Outcome& outcome) {
  return {result_of(outcome.status), text_of(outcome)};
}

// Runs `body` (which gives an Answer); no exception leaves it.
template <typename Body>
Answer without_exceptions(Body&& body) noexcept {
  try {
    return std::forward<Body>(body)();
  } catch (const std::exception& error) {
    try {
      return {pcclInternalError, std::string("internal error: ") + error.what()};
    } catch (...) {
      return {pcclInternalError, {}};  // no memory for the words
    }
  } catch (...) {
    return {pcclInternalError, {}};
  }
}

}  // namespace pccl::api
