// How much has come over a TCP connection, to whoever measures the path below it. What a program
// can read tells little of that: behind one lost packet nothing can be read until it has been sent
// again, a round trip or two later, while the packets after it fill the path and wait in the
// kernel. So these are counted, too.
#pragma once

#include <cstdint>
#include <optional>

namespace pccl::net {

// From a connection's beginning on, as the kernel knows it; all zero where it does not.
struct Received {
  std::uint64_t bytes_in_order = 0;
  std::uint64_t segments = 0;  // with data in them: each packet of the path
  std::uint64_t segments_out_of_order = 0;
  std::uint64_t segment_bytes = 0;  // of a full one
};
Received received_by(int socket);

class Arrivals {
 public:
  void look(const Received& now);
  std::uint64_t bytes() const { return bytes_; }  // since the first look

 private:
  std::optional<Received> last_;
  bool gaps_ = false;  // there may be some
  std::uint64_t bytes_ = 0;
};

}  // namespace pccl::net
