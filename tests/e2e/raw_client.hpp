// A stranger with a socket: sends what no peer would send, reads what it is told.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "e2e/process.hpp"
#include "wire/framing.hpp"

namespace e2e {

class RawClient {
 public:
  explicit RawClient(std::uint16_t port);  // on 127.0.0.1
  ~RawClient();
  RawClient(RawClient&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  RawClient& operator=(RawClient&&) = delete;

  // What the other side does not take (it may have closed) is dropped.
  void send(std::span<const std::byte> bytes);
  void send(pccl::Term term, const pccl::wire::Message& message);
  // The next frame; nothing when the connection ends, or time is up.
  std::optional<pccl::wire::Frame> receive(Clock::duration within = patience);
  bool closed_within(Clock::duration time);  // by the other side; drops what it still says
  void reset();                              // closes without a farewell

 private:
  int fd_;
  pccl::wire::FrameReader reader_{1 << 20};
};

std::vector<std::byte> bytes_of(pccl::Term term, const pccl::wire::Message& message);

}  // namespace e2e
