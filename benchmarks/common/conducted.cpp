#include "common/conducted.hpp"

#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sstream>
#include <utility>

namespace bench {

namespace {

[[noreturn]] void give_up(const std::string& what) {
  std::fprintf(stderr, "benchmark: %s\n", what.c_str());
  std::exit(1);
}

struct UnixAddress {
  sockaddr_un address{};
  socklen_t length;
};

UnixAddress unix_address(const std::string& name) {
  UnixAddress result;
  result.address.sun_family = AF_UNIX;
  if (name.empty() || name.size() >= sizeof result.address.sun_path) give_up("bad --control");
  std::memcpy(result.address.sun_path, name.data(), name.size());
  if (name[0] == '@') result.address.sun_path[0] = '\0';
  result.length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size());
  return result;
}

// A socket that speaks in lines.
class Line {
 public:
  explicit Line(int fd) : fd_(fd), reader_(fdopen(dup(fd), "r")) {
    if (reader_ == nullptr) give_up("fdopen");
  }
  ~Line() {
    std::fclose(reader_);
    close(fd_);
    std::free(text_);
  }
  Line(const Line&) = delete;
  Line& operator=(const Line&) = delete;

  bool read(std::string& line) {
    const ssize_t length = getline(&text_, &capacity_, reader_);
    if (length <= 0 || text_[length - 1] != '\n') return false;
    line.assign(text_, static_cast<std::size_t>(length - 1));
    return true;
  }
  bool write(std::string line) {
    line += '\n';
    for (std::size_t done = 0; done < line.size();) {
      const ssize_t n = send(fd_, line.data() + done, line.size() - done, MSG_NOSIGNAL);
      if (n <= 0) return false;
      done += static_cast<std::size_t>(n);
    }
    return true;
  }

 private:
  int fd_;
  FILE* reader_;
  char* text_ = nullptr;
  std::size_t capacity_ = 0;
};

double microseconds_of(Workload& workload) {
  const auto start = std::chrono::steady_clock::now();
  workload.call();
  return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start)
      .count();
}

// Adds this thread's CPU time in its scope to a total.
class Aside {
 public:
  explicit Aside(double& total) : total_(total), start_(now()) {}
  ~Aside() { total_ += now() - start_; }
  Aside(const Aside&) = delete;
  Aside& operator=(const Aside&) = delete;

 private:
  static double now() {
    timespec time{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) * 1e6 + static_cast<double>(time.tv_nsec) / 1e3;
  }
  double& total_;
  const double start_;
};

std::string text_of(const Deviation& deviation) {
  std::ostringstream text;
  text << "deviation " << deviation.relative_l2 << ' ' << deviation.largest << ' '
       << deviation.bound;
  return text.str();
}

// By way of words: strtod reads "inf", a stream does not.
Deviation deviation_in(std::istringstream& words) {
  std::string l2, largest, bound;
  words >> l2 >> largest >> bound;
  return {.relative_l2 = std::strtod(l2.c_str(), nullptr),
          .largest = std::strtod(largest.c_str(), nullptr),
          .bound = std::strtod(bound.c_str(), nullptr)};
}

Answer carry_out(const Order& order, Workload& workload) {
  Answer answer;
  {
    const Aside aside(answer.aside_microseconds);
    workload.prepare(order);
    workload.refill();
  }
  for (int i = 0; i < order.warmup; ++i) workload.call();
  for (int i = 0; i < order.iterations; ++i) {
    answer.microseconds.push_back(microseconds_of(workload));
  }
  answer.way = workload.way();
  if (order.check) {
    {
      const Aside aside(answer.aside_microseconds);
      workload.refill();
    }
    workload.call();
    const Aside aside(answer.aside_microseconds);
    answer.wrong = workload.count_wrong();
    answer.deviation = workload.deviation();
  }
  return answer;
}

}  // namespace

void serve(const MemberOptions& options, Workload& workload) {
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const UnixAddress to = unix_address(options.control);
  if (connect(fd, reinterpret_cast<const sockaddr*>(&to.address), to.length) != 0) {
    give_up("no conductor at " + options.control);
  }
  Line line(fd);
  std::string text = "hello " + std::to_string(options.rank) + ' ' + std::to_string(options.world);
  for (std::size_t i = 0; i < options.variants.size(); ++i) {
    text += (i == 0 ? ' ' : ',') + options.variants[i];
  }
  if (!line.write(text)) return;
  while (line.read(text)) {
    std::istringstream words(text);
    std::string verb;
    Order order;
    words >> verb >> order.bytes >> order.warmup >> order.iterations >> order.in_place >>
        order.check >> order.variant;
    if (!words || verb != "run") give_up("strange order: " + text);
    const Answer answer = carry_out(order, workload);
    text = "done " + std::to_string(answer.wrong);
    text += ' ' + std::to_string(answer.aside_microseconds);
    if (options.rank == 0) {
      for (const double time : answer.microseconds) text += ' ' + std::to_string(time);
      if (answer.way)
        text += " way " + answer.way->algorithm + ' ' + std::to_string(answer.way->bytes_sent);
      if (answer.deviation) text += ' ' + text_of(*answer.deviation);
    }
    if (!line.write(text)) return;
  }
}

// ---- FloatSum -----------------------------------------------------------------------------------

namespace {

// Small integers: their sums are exact in any order.
float value(std::size_t index, int rank) {
  return static_cast<float>(index % 61) + static_cast<float>(rank + 1);
}

}  // namespace

FloatSum::FloatSum(int rank, int world, std::function<void(const FloatCall&)> all_reduce,
                   bool always_in_place)
    : rank_(rank),
      world_(world),
      all_reduce_(std::move(all_reduce)),
      always_in_place_(always_in_place) {}

void FloatSum::prepare(const Order& order) {
  count_ = order.bytes / sizeof(float);
  in_place_ = order.in_place || always_in_place_;
  variant_ = order.variant;
  if (output_.size() < count_) output_.resize(count_);
  if (!in_place_ && input_.size() < count_) input_.resize(count_);
}

void FloatSum::refill() {
  std::vector<float>& input = in_place_ ? output_ : input_;
  for (std::size_t i = 0; i < count_; ++i) input[i] = value(i, rank_);
}

void FloatSum::call() {
  all_reduce_({in_place_ ? output_.data() : input_.data(), output_.data(), count_, variant_});
}

std::size_t FloatSum::count_wrong() {
  std::size_t wrong = 0;
  const auto ranks = static_cast<float>(world_ * (world_ + 1) / 2);
  for (std::size_t i = 0; i < count_; ++i) {
    wrong += output_[i] != static_cast<float>(world_) * static_cast<float>(i % 61) + ranks;
  }
  return wrong;
}

// ---- Conductor ----------------------------------------------------------------------------------

struct Conductor::Member {
  explicit Member(int fd) : line(fd) {}
  Line line;
  int rank = -1;
};

Conductor::Conductor() : name_("@pccl-benchmark-" + std::to_string(getpid())) {
  listener_ = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const UnixAddress at = unix_address(name_);
  if (bind(listener_, reinterpret_cast<const sockaddr*>(&at.address), at.length) != 0 ||
      listen(listener_, 64) != 0) {
    give_up("cannot open " + name_);
  }
}

Conductor::~Conductor() {
  close(listener_);
}

void Conductor::await_members(int count) {
  for (int i = 0; i < count; ++i) {
    const int fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) give_up("accept");
    auto member = std::make_unique<Member>(fd);
    std::string text, verb;
    if (!member->line.read(text)) give_up("a member ended before it was ready");
    std::istringstream(text) >> verb >> member->rank;
    members_.push_back(std::move(member));
  }
}

Answer Conductor::measure(const Order& order) {
  std::ostringstream text;
  text << "run " << order.bytes << ' ' << order.warmup << ' ' << order.iterations << ' '
       << order.in_place << ' ' << order.check << ' ' << order.variant;
  for (const auto& member : members_) {
    if (!member->line.write(text.str())) give_up("a member is gone");
  }
  Answer answer;
  for (const auto& member : members_) {
    std::string line, verb;
    if (!member->line.read(line)) give_up("rank " + std::to_string(member->rank) + " ended early");
    std::istringstream words(line);
    std::size_t wrong = 0;
    double aside = 0;
    words >> verb >> wrong >> aside;
    answer.wrong += wrong;
    answer.aside_microseconds += aside;
    for (std::string word; words >> word;) {
      if (word == "way") {
        answer.way.emplace();
        words >> answer.way->algorithm >> answer.way->bytes_sent;
      } else if (word == "deviation") {
        answer.deviation = deviation_in(words);
      } else {
        answer.microseconds.push_back(std::strtod(word.c_str(), nullptr));
      }
    }
  }
  return answer;
}

void Conductor::dismiss() {
  members_.clear();
}

}  // namespace bench
