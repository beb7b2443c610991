#include "base/status.hpp"

#include <cstdio>
#include <cstdlib>
#include <stdexcept>

namespace pccl {

std::string_view name_of(Status status) {
  switch (status) {
    case Status::ok:
      return "ok";
    case Status::peer_lost:
      return "peer lost";
    case Status::removed:
      return "removed from the run by the master";
    case Status::master_lost:
      return "master lost";
    case Status::timed_out:
      return "timed out";
    case Status::interrupted:
      return "interrupted";
    case Status::too_few_peers:
      return "too few peers";
    case Status::pending_ops:
      return "pending async ops";
    case Status::invalid_argument:
      return "invalid argument";
    case Status::invalid_usage:
      return "invalid usage";
    case Status::internal:
      return "internal error";
  }
  return "unknown status";
}

void invariant_broken(const char* condition, const char* file, int line) {
#ifdef PCCL_MUTANTS  // the simulator wants to see the planted bug that did it
  throw std::logic_error(std::string("broken invariant: ") + condition);
#endif
  std::fprintf(stderr, "pccl: broken invariant: %s (%s:%d)\n", condition, file, line);
  std::abort();
}

}  // namespace pccl
