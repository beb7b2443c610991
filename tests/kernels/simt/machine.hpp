// A GPU on the CPU, for tests: runs a kernel with its blocks, warps, barriers and shared memory, as
// the source says and with no GPU's or driver's help. Every thread is a fiber, and which of those
// that can go on does so next is drawn: where a barrier is missing, somebody reads too early.
//
// Each launch draws from its own seed. What is wrong is told, and never hangs: threads that wait
// for each other at different places, a lane that is not there, a write behind shared memory.
//
// It does not show what needs threads that run at once (a race between two blocks), nor what nvcc
// makes of the source. Reads beyond memory are AddressSanitizer's to find.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <random>
#include <source_location>
#include <string>
#include <vector>

#include "fiber.hpp"

namespace pccl_test::simt {

struct Index {
  unsigned x = 0, y = 0, z = 0;
};

inline constexpr unsigned warp_threads = 32;
inline constexpr std::size_t most_shared_bytes = 48 << 10;

// What a thread sees of itself.
extern Index thread_index, block_index, block_size, grid_size;

class Machine {
 public:
  static Machine& the();

  // Threads and blocks in one dimension. Gives what went wrong, or nothing.
  std::string run(unsigned blocks, unsigned threads, std::size_t shared_bytes, std::uint64_t seed,
                  const std::function<void()>& kernel);

  std::byte* shared() { return shared_.memory; }

  // Of the thread that is running.
  void sync_threads(std::source_location where);
  void sync_warp(unsigned mask, std::source_location where);
  std::uint64_t shuffle(unsigned mask, std::uint64_t value, unsigned from_lane,
                        std::source_location where);

 private:
  enum class At { nowhere, barrier, sync_warp, shuffle };
  struct Wait {
    At at = At::nowhere;
    unsigned mask = 0;
    std::source_location where;
    bool operator==(const Wait& other) const;
  };
  struct Thread {
    Fiber fiber;
    Wait wait;
    std::uint64_t value = 0;  // that it gives, then that it gets
    unsigned from_lane = 0;
  };

  void run_block(const std::function<void()>& kernel);
  void wait(const Wait& wait);
  void release(unsigned thread);
  bool all_wait_alike(unsigned begin, unsigned end, unsigned mask, const Wait& wait) const;
  void exchange(unsigned warp, unsigned mask);
  void fail(const std::string& what);
  std::string told(unsigned thread) const;
  std::string who_waits() const;
  void fill_shared();
  void check_shared();

  struct alignas(128) {
    std::byte memory[most_shared_bytes];
    std::byte behind[128];
  } shared_;
  std::vector<std::unique_ptr<Thread>> threads_;
  std::vector<unsigned> ready_;
  unsigned running_ = 0;
  std::size_t shared_bytes_ = 0;
  std::string failure_;
  std::mt19937_64 random_;
};

}  // namespace pccl_test::simt
