// A library with NCCL's name and as many of its functions as ours looks for: what they are asked
// can be read back from the words of ncclGetErrorString.
#include <cstddef>
#include <cstdio>

#define EXPORT __attribute__((visibility("default")))

namespace {
char said[200];

template <typename... Values>
int say(const char* format, Values... values) {
  std::snprintf(said, sizeof said, format, values...);
  return 0;
}
}  // namespace

extern "C" {

EXPORT int ncclReduceScatter(const void* send, void* receive, std::size_t count, int type, int op,
                             void* comm, void* stream) {
  return say("reduce_scatter %p %p %zu %d %d %p %p", send, receive, count, type, op, comm, stream);
}
EXPORT int ncclAllGather(const void* send, void* receive, std::size_t count, int type, void* comm,
                         void* stream) {
  return say("all_gather %p %p %zu %d %p %p", send, receive, count, type, comm, stream);
}
EXPORT int ncclAllReduce(const void* send, void* receive, std::size_t count, int type, int op,
                         void* comm, void* stream) {
  return say("all_reduce %p %p %zu %d %d %p %p", send, receive, count, type, op, comm, stream);
}
EXPORT int ncclCommCount(const void*, int* count) {
  *count = 8;
  return 0;
}
EXPORT int ncclCommUserRank(const void*, int* rank) {
  *rank = 3;
  return 0;
}
EXPORT int ncclCommCuDevice(const void*, int* gpu) {
  *gpu = 5;
  return 0;
}
EXPORT int ncclCommGetAsyncError(void*, int* error) {
  *error = 7;
  return 0;
}
#if !defined(INCOMPLETE)
EXPORT const char* ncclGetErrorString(int) {
  return said;
}
#endif
}
