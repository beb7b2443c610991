// How fast can a tiny all-reduce be on this machine? A bare star: every rank writes its values to a
// reflector process, which waits for all, adds, and writes the sum to each. Blocking sockets, no
// protocol.
//   bare_star WORLD @CONTROL      (conducted, common/conducted.hpp; the reflector is member WORLD)
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <vector>

#include "common/child.hpp"
#include "common/conducted.hpp"
#include "common/sockets.hpp"

namespace {

class Reflector : public bench::Workload {
 public:
  explicit Reflector(std::vector<int> ranks) : ranks_(std::move(ranks)) {}
  void prepare(const bench::Order& order) override {
    sum_.resize(order.bytes / sizeof(float));
    incoming_.resize(sum_.size());
  }
  void refill() override {}
  std::size_t count_wrong() override { return 0; }
  void call() override {
    const std::size_t bytes = sum_.size() * sizeof(float);
    bench::read_all(ranks_[0], sum_.data(), bytes);
    for (std::size_t rank = 1; rank < ranks_.size(); ++rank) {
      bench::read_all(ranks_[rank], incoming_.data(), bytes);
      for (std::size_t i = 0; i < sum_.size(); ++i) sum_[i] += incoming_[i];
    }
    for (const int rank : ranks_) bench::write_all(rank, sum_.data(), bytes);
  }

 private:
  const std::vector<int> ranks_;
  std::vector<float> sum_, incoming_;
};

}  // namespace

int main(int argc, char** argv) {
  const int world = argc == 3 ? std::atoi(argv[1]) : 0;
  if (world < 1) {
    std::fprintf(stderr, "usage: bare_star WORLD CONTROL\n");
    return 2;
  }
  bench::Children ranks;
  std::vector<int> reflector_ends;
  for (int rank = 0; rank < world; ++rank) {
    const auto [reflector_end, rank_end] = bench::connected_pair();
    if (ranks.fork_here() == 0) {
      const int fd = rank_end;
      bench::FloatSum workload(rank, world, [fd](const bench::FloatCall& call) {
        bench::write_all(fd, call.input, call.count * sizeof(float));
        bench::read_all(fd, call.output, call.count * sizeof(float));
      });
      bench::serve({argv[2], rank, world}, workload);
      std::exit(0);
    }
    close(rank_end);
    reflector_ends.push_back(reflector_end);
  }
  Reflector reflector(reflector_ends);
  bench::serve({argv[2], world, world}, reflector);
  return ranks.all_succeed_within(std::chrono::seconds(5)) ? 0 : 1;
}
