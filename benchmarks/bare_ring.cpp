// What can TCP on this machine give to an all-reduce? The ring that a library runs, without the
// library: one thread per process, no framing, no protocol, no failures.
//   bare_ring WORLD @CONTROL      (conducted, common/conducted.hpp)
//
// The tensor is cut into one chunk per rank. At step s, rank r sends chunk r - s to its successor
// and receives chunk r - s - 1 from its predecessor, so what it receives at one step is what it
// sends at the next. In the first n - 1 steps (reduce-scatter) a received chunk is added to the
// local one; in the last n - 1 (all-gather) it is the sum. A chunk travels in segments, dealt to
// the lanes (TCP connections) in turn, and a segment may leave as soon as the same segment of the
// step before has arrived.
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <tuple>
#include <vector>

#include "common/child.hpp"
#include "common/conducted.hpp"
#include "common/sockets.hpp"

namespace {

constexpr std::size_t segment_bytes = 256 << 10;
constexpr int max_lanes = 4;

struct Chunk {
  std::size_t begin, bytes;
};

// Which chunk is at which step, for one rank.
class Schedule {
 public:
  Schedule(int rank, int world, std::size_t count) : rank_(rank), world_(world), count_(count) {}
  int steps() const { return 2 * (world_ - 1); }
  bool reduces(int step) const { return step < world_ - 1; }
  Chunk sent(int step) const { return chunk(rank_ - step); }
  Chunk received(int step) const { return chunk(rank_ - step - 1); }

 private:
  Chunk chunk(int index) const {
    const auto wrapped = static_cast<std::size_t>((index % world_ + world_) % world_);
    const auto world = static_cast<std::size_t>(world_);
    const std::size_t begin = wrapped * count_ / world * sizeof(float);
    return {begin, (wrapped + 1) * count_ / world * sizeof(float) - begin};
  }
  int rank_, world_;
  std::size_t count_;
};

// How far one direction of one lane is.
struct Cursor {
  int step = 0;
  std::size_t segment;     // of the chunk of this step
  std::size_t offset = 0;  // bytes of it done

  bool before(const Cursor& other) const {
    return std::tuple(step, segment) < std::tuple(other.step, other.segment);
  }
};

class RingRank {
 public:
  RingRank(int rank, int world, std::vector<int> to_successor, std::vector<int> from_predecessor)
      : rank_(rank), world_(world) {
    for (int i = 0; i < max_lanes; ++i) {
      lanes_.push_back({to_successor[static_cast<std::size_t>(i)],
                        from_predecessor[static_cast<std::size_t>(i)],
                        {},
                        {},
                        {}});
      lanes_.back().scratch.resize(segment_bytes / sizeof(float));
    }
  }

  void all_reduce(const bench::FloatCall& call) {
    const Schedule schedule(rank_, world_, call.count);
    const auto active = static_cast<std::size_t>(call.variant.back() - '0');  // "lanes-N"
    for (std::size_t i = 0; i < active; ++i) {
      lanes_[i].send = lanes_[i].receive = {0, i, 0};
      skip_empty(lanes_[i].send, i, schedule, true);
      skip_empty(lanes_[i].receive, i, schedule, false);
    }
    for (;;) {
      bool progress = false, finished = true;
      std::vector<pollfd> waiting;
      for (std::size_t i = 0; i < active; ++i) {
        progress |= send_some(lanes_[i], i, active, schedule, call);
        progress |= receive_some(lanes_[i], i, active, schedule, call);
        const bool sent = lanes_[i].send.step == schedule.steps();
        const bool received = lanes_[i].receive.step == schedule.steps();
        finished = finished && sent && received;
        if (!received) waiting.push_back({lanes_[i].from_predecessor, POLLIN, 0});
        if (may_send(lanes_[i], schedule)) waiting.push_back({lanes_[i].to_successor, POLLOUT, 0});
      }
      if (finished) return;
      if (!progress) poll(waiting.data(), waiting.size(), 1000);
    }
  }

 private:
  struct Lane {
    int to_successor, from_predecessor;
    Cursor send, receive;
    std::vector<float> scratch;
  };

  static std::size_t length(const Cursor& at, Chunk chunk) {
    return std::min(segment_bytes, chunk.bytes - at.segment * segment_bytes);
  }

  // To the next step in which this lane has a segment of its own, unless it has one in this step.
  static void skip_empty(Cursor& at, std::size_t lane, const Schedule& schedule, bool sending) {
    while (at.step < schedule.steps()) {
      const Chunk chunk = sending ? schedule.sent(at.step) : schedule.received(at.step);
      if (at.segment * segment_bytes < chunk.bytes) return;
      ++at.step;
      at.segment = lane;
    }
  }

  static void advance(Cursor& at, std::size_t lane, std::size_t lanes, const Schedule& schedule,
                      bool sending) {
    at.offset = 0;
    at.segment += lanes;
    skip_empty(at, lane, schedule, sending);
  }

  // A segment of step s > 0 is there once it has been received at step s - 1.
  static bool may_send(const Lane& lane, const Schedule& schedule) {
    if (lane.send.step == schedule.steps()) return false;
    return lane.send.step == 0 ||
           Cursor{lane.send.step - 1, lane.send.segment, 0}.before(lane.receive);
  }

  static bool send_some(Lane& lane, std::size_t index, std::size_t lanes, const Schedule& schedule,
                        const bench::FloatCall& call) {
    bool progress = false;
    while (may_send(lane, schedule)) {
      const Chunk chunk = schedule.sent(lane.send.step);
      const float* const tensor = lane.send.step == 0 ? call.input : call.output;
      const char* const from = reinterpret_cast<const char*>(tensor) + chunk.begin +
                               lane.send.segment * segment_bytes + lane.send.offset;
      const std::size_t left = length(lane.send, chunk) - lane.send.offset;
      const ssize_t n = send(lane.to_successor, from, left, MSG_NOSIGNAL);
      if (n < 0 && errno == EAGAIN) break;
      if (n <= 0) std::exit(1);
      progress = true;
      lane.send.offset += static_cast<std::size_t>(n);
      if (static_cast<std::size_t>(n) < left) break;
      advance(lane.send, index, lanes, schedule, true);
    }
    return progress;
  }

  // One segment at most: what has come may be sent on while it is in the cache.
  static bool receive_some(Lane& lane, std::size_t index, std::size_t lanes,
                           const Schedule& schedule, const bench::FloatCall& call) {
    if (lane.receive.step == schedule.steps()) return false;
    const Chunk chunk = schedule.received(lane.receive.step);
    const std::size_t at = chunk.begin + lane.receive.segment * segment_bytes;
    const std::size_t bytes = length(lane.receive, chunk);
    const bool reduces = schedule.reduces(lane.receive.step);
    char* const into = reduces ? reinterpret_cast<char*>(lane.scratch.data())
                               : reinterpret_cast<char*>(call.output) + at;
    const ssize_t n =
        recv(lane.from_predecessor, into + lane.receive.offset, bytes - lane.receive.offset, 0);
    if (n < 0 && errno == EAGAIN) return false;
    if (n <= 0) std::exit(1);
    if ((lane.receive.offset += static_cast<std::size_t>(n)) < bytes) return true;
    if (reduces) {
      const float* const mine = call.input + at / sizeof(float);
      float* const sum = call.output + at / sizeof(float);
      for (std::size_t i = 0; i < bytes / sizeof(float); ++i) sum[i] = mine[i] + lane.scratch[i];
    }
    advance(lane.receive, index, lanes, schedule, false);
    return true;
  }

  const int rank_, world_;
  std::vector<Lane> lanes_;
};

}  // namespace

int main(int argc, char** argv) {
  const int world = argc == 3 ? std::atoi(argv[1]) : 0;
  if (world < 2) {
    std::fprintf(stderr, "usage: bare_ring WORLD CONTROL   (WORLD >= 2)\n");
    return 2;
  }
  const auto size = static_cast<std::size_t>(world);
  std::vector<std::vector<int>> to_successor(size), from_predecessor(size);
  for (std::size_t rank = 0; rank < size; ++rank) {
    for (int lane = 0; lane < max_lanes; ++lane) {
      const auto [out, in] = bench::connected_pair();
      bench::make_nonblocking(out);
      bench::make_nonblocking(in);
      to_successor[rank].push_back(out);
      from_predecessor[(rank + 1) % size].push_back(in);
    }
  }
  const auto run = [&](int rank) {
    const auto me = static_cast<std::size_t>(rank);
    for (std::size_t other = 0; other < size; ++other) {
      if (other == me) continue;
      for (const int fd : to_successor[other]) close(fd);
      for (const int fd : from_predecessor[other]) close(fd);
    }
    RingRank ring(rank, world, to_successor[me], from_predecessor[me]);
    bench::FloatSum workload(rank, world,
                             [&](const bench::FloatCall& call) { ring.all_reduce(call); });
    bench::serve({argv[2], rank, world, {"lanes-1", "lanes-2", "lanes-4"}}, workload);
  };
  bench::Children others;
  for (int rank = 1; rank < world; ++rank) {
    if (others.fork_here() == 0) {
      run(rank);
      std::exit(0);
    }
  }
  run(0);
  return others.all_succeed_within(std::chrono::seconds(5)) ? 0 : 1;
}
