#include "net/arrivals.hpp"

#include <linux/tcp.h>  // tells more than <netinet/tcp.h>, and does not go with it
#include <netinet/in.h>
#include <sys/socket.h>

namespace pccl::net {

// The kernel does not say how many bytes wait behind a gap, but how many segments have come. Where
// some come out of order the path is full, and so are its segments; elsewhere they need not be, and
// bytes are counted as they are. A look that finds no more out of order, and something that came,
// finds no gap either; but what waited behind it has been counted, so bytes count after that.
void Arrivals::look(const Received& now) {
  if (last_) {
    const bool more_behind_gaps = now.segments_out_of_order != last_->segments_out_of_order;
    bytes_ += gaps_ || more_behind_gaps ? (now.segments - last_->segments) * now.segment_bytes
                                        : now.bytes_in_order - last_->bytes_in_order;
    gaps_ = more_behind_gaps || (gaps_ && now.segments == last_->segments);
  }
  last_ = now;
}

Received received_by(int socket) {
  tcp_info info{};
  socklen_t length = sizeof info;
  if (getsockopt(socket, IPPROTO_TCP, TCP_INFO, &info, &length) != 0) return {};
  return {.bytes_in_order = info.tcpi_bytes_received,
          .segments = info.tcpi_data_segs_in,
          .segments_out_of_order = info.tcpi_rcv_ooopack,
          .segment_bytes = info.tcpi_rcv_mss};
}

}  // namespace pccl::net
