#include "machine.hpp"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <span>
#include <utility>

namespace pccl_test::simt {

Index thread_index, block_index, block_size, grid_size;

namespace {

constexpr std::byte guard{0xa5};

}  // namespace

bool Machine::Wait::operator==(const Wait& other) const {
  return at == other.at && mask == other.mask && where.line() == other.where.line() &&
         std::strcmp(where.file_name(), other.where.file_name()) == 0;
}

Machine& Machine::the() {
  static Machine machine;
  return machine;
}

std::string Machine::run(unsigned blocks, unsigned threads, std::size_t shared_bytes,
                         std::uint64_t seed, const std::function<void()>& kernel) {
  random_.seed(seed);
  failure_.clear();
  if (shared_bytes > most_shared_bytes) return "too much shared memory";
  shared_bytes_ = shared_bytes;
  grid_size = {blocks, 1, 1};
  block_size = {threads, 1, 1};
  if (threads_.size() > threads) threads_.resize(threads);
  while (threads_.size() < threads) threads_.push_back(std::make_unique<Thread>());
  std::vector<unsigned> order(blocks);
  std::iota(order.begin(), order.end(), 0u);
  std::shuffle(order.begin(), order.end(), random_);
  for (const unsigned block : order) {
    block_index = {block, 0, 0};
    fill_shared();
    run_block(kernel);
    if (failure_.empty()) check_shared();
    if (failure_.empty()) continue;
    threads_.clear();  // in the middle of what they did
    return "block " + std::to_string(block) + " of " + std::to_string(blocks) + ", seed " +
           std::to_string(seed) + ": " + failure_;
  }
  return {};
}

void Machine::run_block(const std::function<void()>& kernel) {
  ready_.resize(threads_.size());
  std::iota(ready_.begin(), ready_.end(), 0u);
  for (const auto& thread : threads_) {
    thread->fiber.begin(kernel);
    thread->wait = {};
  }
  std::size_t done = 0;
  while (!ready_.empty() && failure_.empty()) {
    std::swap(ready_[random_() % ready_.size()], ready_.back());
    running_ = ready_.back();
    ready_.pop_back();
    thread_index = {running_, 0, 0};
    threads_[running_]->fiber.resume();
    if (threads_[running_]->fiber.done())
      ++done;
    else
      release(running_);
  }
  if (failure_.empty() && done < threads_.size()) fail("nobody can go on: " + who_waits());
}

void Machine::sync_threads(std::source_location where) {
  wait({At::barrier, 0, where});
}

void Machine::sync_warp(unsigned mask, std::source_location where) {
  wait({At::sync_warp, mask, where});
}

std::uint64_t Machine::shuffle(unsigned mask, std::uint64_t value, unsigned from_lane,
                               std::source_location where) {
  Thread& thread = *threads_[running_];
  thread.value = value;
  thread.from_lane = from_lane % warp_threads;
  wait({At::shuffle, mask, where});
  return thread.value;
}

void Machine::wait(const Wait& wait) {
  Thread& thread = *threads_[running_];
  thread.wait = wait;
  if (wait.at != At::barrier && (wait.mask >> running_ % warp_threads & 1) == 0)
    fail("not in its own mask: " + told(running_));
  Fiber::stop();
}

// All that `thread` was the last to wait for.
void Machine::release(unsigned thread) {
  const Wait wait = threads_[thread]->wait;
  const auto count = static_cast<unsigned>(threads_.size());
  const bool barrier = wait.at == At::barrier;
  const unsigned begin = barrier ? 0 : thread / warp_threads * warp_threads;
  const unsigned end = barrier ? count : begin + warp_threads;
  const unsigned mask = barrier ? ~0u : wait.mask;
  if (!all_wait_alike(begin, end, mask, wait)) return;
  if (wait.at == At::shuffle) exchange(begin, mask);
  for (unsigned i = begin; i < end; ++i) {
    if ((mask >> i % warp_threads & 1) == 0) continue;
    threads_[i]->wait = {};
    ready_.push_back(i);
  }
}

bool Machine::all_wait_alike(unsigned begin, unsigned end, unsigned mask, const Wait& wait) const {
  for (unsigned i = begin; i < end; ++i)
    if ((mask >> i % warp_threads & 1) != 0 &&
        (i >= threads_.size() || !(threads_[i]->wait == wait)))
      return false;
  return true;
}

void Machine::exchange(unsigned warp, unsigned mask) {
  std::array<std::uint64_t, warp_threads> given{};
  for (unsigned lane = 0; lane < warp_threads; ++lane)
    if ((mask >> lane & 1) != 0) given[lane] = threads_[warp + lane]->value;
  for (unsigned lane = 0; lane < warp_threads; ++lane) {
    if ((mask >> lane & 1) == 0) continue;
    Thread& thread = *threads_[warp + lane];
    if ((mask >> thread.from_lane & 1) == 0)
      fail("asks lane " + std::to_string(thread.from_lane) +
           ", which is not in the mask: " + told(warp + lane));
    thread.value = given[thread.from_lane];
  }
}

void Machine::fail(const std::string& what) {
  if (failure_.empty()) failure_ = what;
}

std::string Machine::told(unsigned thread) const {
  constexpr const char* names[] = {"nowhere", "__syncthreads", "__syncwarp", "a shuffle"};
  const Wait& wait = threads_[thread]->wait;
  std::string text = "thread " + std::to_string(thread);
  if (threads_[thread]->fiber.done()) return text + " has ended";
  text += std::string(" at ") + names[static_cast<int>(wait.at)];
  if (wait.at != At::barrier) {
    char mask[16];
    std::snprintf(mask, sizeof mask, " of %08x", wait.mask);
    text += mask;
  }
  return text + ", " + wait.where.file_name() + ":" + std::to_string(wait.where.line());
}

std::string Machine::who_waits() const {
  std::string text = told(0);
  for (unsigned i = 1; i < threads_.size(); ++i)
    if (threads_[i]->fiber.done() != threads_[i - 1]->fiber.done() ||
        !(threads_[i]->wait == threads_[i - 1]->wait))
      text += "; " + told(i);
  return text;
}

// Whatever was there before is not to be relied on.
void Machine::fill_shared() {
  for (std::byte& byte : std::span(shared_.memory).first(shared_bytes_))
    byte = static_cast<std::byte>(random_());
  std::memset(shared_.memory + shared_bytes_, static_cast<int>(guard), sizeof shared_.behind);
}

void Machine::check_shared() {
  const std::byte* const behind = shared_.memory + shared_bytes_;
  if (!std::all_of(behind, behind + sizeof shared_.behind, [](std::byte b) { return b == guard; }))
    fail("a write behind the shared memory");
}

}  // namespace pccl_test::simt
