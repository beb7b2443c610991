// Memory that two processes of one machine share: a ring of bytes for each direction. What the
// other side writes into it is believed as little as what comes over a socket.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <utility>

#include "net/file_descriptor.hpp"

namespace pccl::net {

// One direction, seen from one end. The bytes are copied in and out; neither end waits here: it
// says that it is going to (`wait_for`), looks once more, and is then to be woken by the other one.
class ByteRing {
 public:
  struct Shared;  // what lies in front of the bytes

  ByteRing(Shared* shared, std::span<std::byte> bytes) : shared_(shared), bytes_(bytes) {}

  // The writing end. Bytes taken, of `first` and then `second`; nothing: the other end has broken
  // the ring.
  std::optional<std::size_t> write(std::span<const std::byte> first,
                                   std::span<const std::byte> second);
  bool has_room() const;  // or is broken
  // The reading end, likewise.
  std::optional<std::size_t> read(std::span<std::byte> first, std::span<std::byte> second);
  bool has_bytes() const;  // or is broken
  // What can be read without a copy: to the end of the ring or of what has come. The other end may
  // change it at any time. Then `skip` some of it. Nothing: the other end has broken the ring.
  std::optional<std::span<const std::byte>> peek() const;
  void skip(std::size_t count);

  // Says that this end is going to wait, and looks once more: true: there is no need to. A wake-up
  // that finds nothing (what it was for had been taken before it came) has used up the word: say it
  // again.
  bool wait_for_room();
  bool wait_for_bytes();
  // The other end is to be woken for what this one has done. Once for each time that it has said it
  // waits.
  bool reader_waits();
  bool writer_waits();

 private:
  std::uint64_t used_by_writer() const;
  std::uint64_t used_by_reader() const;

  Shared* shared_;
  std::span<std::byte> bytes_;
  std::uint64_t position_ = 0;  // of this end; the shared one is for the other end to read
};

class SharedMemory {
 public:
  // Fresh, and the descriptor that lets the other side in. Nothing where the system has none.
  static std::optional<std::pair<SharedMemory, FileDescriptor>> create();
  // What the other side has created. Nothing when it is not what create() makes.
  static std::optional<SharedMemory> open(const FileDescriptor& from);

  ByteRing& outgoing() { return outgoing_; }
  ByteRing& incoming() { return incoming_; }

 private:
  struct Unmap {
    void operator()(void* at) const;
  };
  using Mapping = std::unique_ptr<void, Unmap>;

  static Mapping map(const FileDescriptor& memory);
  SharedMemory(Mapping mapping, bool creator);

  Mapping mapping_;
  ByteRing outgoing_, incoming_;
};

}  // namespace pccl::net
