#include "net/shared_memory.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <new>

namespace pccl::net {

// Both positions only grow. Each end keeps its own and reads the other's.
struct ByteRing::Shared {
  alignas(64) std::atomic<std::uint64_t> written;
  alignas(64) std::atomic<std::uint64_t> read;
  alignas(64) std::atomic<std::uint32_t> reader_waits;
  alignas(64) std::atomic<std::uint32_t> writer_waits;
};

namespace {

// Eight segments: both ends find it in a cache, and neither has to wait for the other at each.
constexpr std::size_t ring_bytes = 2 << 20;
constexpr std::size_t front_bytes = 4096;
constexpr std::size_t one_way_bytes = front_bytes + ring_bytes;
constexpr std::size_t total_bytes = 2 * one_way_bytes;
// It must not shrink under the other side's feet: that would be a fatal signal there.
constexpr int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

static_assert(std::atomic<std::uint64_t>::is_always_lock_free, "shared between processes");

ByteRing ring_at(void* mapping, std::size_t offset) {
  std::byte* const front = static_cast<std::byte*>(mapping) + offset;
  return {reinterpret_cast<ByteRing::Shared*>(front), {front + front_bytes, ring_bytes}};
}

// Copies between a part of the ring, which may wrap around its end, and straight memory.
template <typename Copy>
void around(std::span<std::byte> ring, std::uint64_t position, std::size_t count, Copy copy) {
  const std::size_t at = position % ring.size();
  const std::size_t to_end = std::min(count, ring.size() - at);
  copy(ring.data() + at, 0, to_end);
  if (count > to_end) copy(ring.data(), to_end, count - to_end);
}

}  // namespace

std::uint64_t ByteRing::used_by_writer() const {
  return position_ - shared_->read.load(std::memory_order_acquire);
}

std::uint64_t ByteRing::used_by_reader() const {
  return shared_->written.load(std::memory_order_acquire) - position_;
}

std::optional<std::size_t> ByteRing::write(std::span<const std::byte> first,
                                           std::span<const std::byte> second) {
  const std::uint64_t used = used_by_writer();
  if (used > bytes_.size()) return std::nullopt;
  std::size_t room = bytes_.size() - used, taken = 0;
  for (const auto from : {first, second}) {
    const std::size_t count = std::min(room, from.size());
    if (count == 0) continue;
    around(bytes_, position_ + taken, count,
           [&](std::byte* at, std::size_t offset, std::size_t length) {
             std::memcpy(at, from.data() + offset, length);
           });
    taken += count;
    room -= count;
  }
  position_ += taken;
  shared_->written.store(position_, std::memory_order_release);
  return taken;
}

std::optional<std::size_t> ByteRing::read(std::span<std::byte> first, std::span<std::byte> second) {
  const std::uint64_t used = used_by_reader();
  if (used > bytes_.size()) return std::nullopt;
  std::size_t left = used, given = 0;
  for (const auto into : {first, second}) {
    const std::size_t count = std::min(left, into.size());
    if (count == 0) continue;
    around(bytes_, position_ + given, count,
           [&](const std::byte* at, std::size_t offset, std::size_t length) {
             std::memcpy(into.data() + offset, at, length);
           });
    given += count;
    left -= count;
  }
  position_ += given;
  shared_->read.store(position_, std::memory_order_release);
  return given;
}

std::optional<std::span<const std::byte>> ByteRing::peek() const {
  const std::uint64_t used = used_by_reader();
  if (used > bytes_.size()) return std::nullopt;
  const std::size_t at = position_ % bytes_.size();
  return bytes_.subspan(at, std::min<std::size_t>(used, bytes_.size() - at));
}

void ByteRing::skip(std::size_t count) {
  position_ += count;
  shared_->read.store(position_, std::memory_order_release);
}

bool ByteRing::has_room() const {
  return used_by_writer() != bytes_.size();
}
bool ByteRing::has_bytes() const {
  return used_by_reader() != 0;
}

// Each end first says what it has done and then looks whether the other one waits, or first says
// that it waits and then looks what the other one has done: with the fence between the two, at
// least one of them sees it.
bool ByteRing::wait_for_room() {
  shared_->writer_waits.store(1);
  std::atomic_thread_fence(std::memory_order_seq_cst);
  return has_room();
}
bool ByteRing::wait_for_bytes() {
  shared_->reader_waits.store(1);
  std::atomic_thread_fence(std::memory_order_seq_cst);
  return has_bytes();
}
bool ByteRing::reader_waits() {
  std::atomic_thread_fence(std::memory_order_seq_cst);
  return shared_->reader_waits.load() != 0 && shared_->reader_waits.exchange(0) != 0;
}
bool ByteRing::writer_waits() {
  std::atomic_thread_fence(std::memory_order_seq_cst);
  return shared_->writer_waits.load() != 0 && shared_->writer_waits.exchange(0) != 0;
}

void SharedMemory::Unmap::operator()(void* at) const {
  ::munmap(at, total_bytes);
}

SharedMemory::Mapping SharedMemory::map(const FileDescriptor& memory) {
  void* const at =
      ::mmap(nullptr, total_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, memory.get(), 0);
  if (at == MAP_FAILED) return nullptr;
  ::madvise(at, total_bytes, MADV_DONTFORK);
  return Mapping(at);
}

SharedMemory::SharedMemory(Mapping mapping, bool creator)
    : mapping_(std::move(mapping)),
      outgoing_(ring_at(mapping_.get(), creator ? 0 : one_way_bytes)),
      incoming_(ring_at(mapping_.get(), creator ? one_way_bytes : 0)) {}

std::optional<std::pair<SharedMemory, FileDescriptor>> SharedMemory::create() {
  FileDescriptor memory(::memfd_create("pccl", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!memory || ::ftruncate(memory.get(), total_bytes) != 0 ||
      ::fcntl(memory.get(), F_ADD_SEALS, seals) != 0)
    return std::nullopt;
  Mapping mapping = map(memory);
  if (!mapping) return std::nullopt;
  // Zeros, which is what a new ring holds.
  return std::pair(SharedMemory(std::move(mapping), true), std::move(memory));
}

std::optional<SharedMemory> SharedMemory::open(const FileDescriptor& from) {
  struct stat status {};
  if (::fstat(from.get(), &status) != 0 || status.st_size != total_bytes) return std::nullopt;
  if ((::fcntl(from.get(), F_GET_SEALS) & F_SEAL_SHRINK) == 0) return std::nullopt;
  Mapping mapping = map(from);
  if (!mapping) return std::nullopt;
  return SharedMemory(std::move(mapping), false);
}

}  // namespace pccl::net
