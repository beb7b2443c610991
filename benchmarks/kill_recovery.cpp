// How long does a group stand still when one of its peers is killed? Four peers all-reduce without
// end; a random one is killed with SIGKILL at a random moment and replaced, many times over. Every
// result is checked.
//
// This process serves as master, kills, launches and listens: each peer writes one line per call
// into a pipe. The tensors (common/telling_sums.hpp) tell who contributed. Nobody tells a newcomer
// the iteration: it is in the sum.
#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <bit>
#include <chrono>
#include <cinttypes>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <random>
#include <set>
#include <thread>

#include "common/child.hpp"
#include "common/pccl_run.hpp"
#include "common/results.hpp"
#include "common/statistics.hpp"
#include "common/telling_sums.hpp"
#include "recovery/referee.hpp"

namespace {

using bench::Event;
using bench::Nanoseconds;
using bench::Referee;
constexpr Nanoseconds ms = 1'000'000;

Nanoseconds now() {  // the same clock in all processes
  return std::chrono::steady_clock::now().time_since_epoch() / std::chrono::nanoseconds(1);
}

struct Options {
  int world = 4, kills = 100, max_in_flight = 4;
  std::size_t bytes = 16 << 20;
  std::string mode = "plain", json = "-";
  bool in_place = false, fork_in_peers = false;
  double calibrate_s = 2, hang_s = 30;
  unsigned seed = 0;
  int timeout_s = 1200;
  int min_wait_ms = 20, max_wait_ms = 300, max_relaunch_ms = 200;
  int peer_id = -1;  // this process is a peer
  std::uint16_t master_port = 0;
  int events = -1, leash = -1;

  bool multiple() const { return mode == "multiple"; }
  int tensors() const { return multiple() ? 8 : 1; }
};

// ---- A peer -------------------------------------------------------------------------------------

void tell(int fd, const Event& event) {
  char line[256];  // below PIPE_BUF: whole lines, also from a process that is killed meanwhile
  const int length =
      std::snprintf(line, sizeof line,
                    "%d %" PRId64 " %" PRId64 " %d %d %u %" PRIx64 " %" PRIx64 " %" PRIx64 " %zu\n",
                    event.id, event.start, event.end, event.code, event.world, event.iteration,
                    event.digest, event.in_all, event.in_any, event.wrong);
  if (write(fd, line, static_cast<std::size_t>(length)) != length) std::exit(1);
}

std::atomic<bool> stopping{false};

class ReducingPeer {
 public:
  explicit ReducingPeer(const Options& options)
      : options_(options),
        count_(options.bytes / sizeof(float) / static_cast<std::size_t>(options.tensors())),
        peer_(options.master_port) {
    const auto tensors = static_cast<std::size_t>(options.tensors());
    inputs_.assign(tensors, std::vector<float>(count_));
    if (!options.in_place) outputs_.assign(tensors, std::vector<float>(count_));
    for (std::size_t i = 0; i < tensors; ++i) {
      operations_.push_back({inputs_[i].data(), output(i).data(), bench::float_sum(count_, i)});
    }
  }

  // The documented loop (pccl.h, pcclConnect): a newcomer skips the question who is waiting once,
  // because the others ask it before they admit.
  void run() {
    peer_.connect();
    if (options_.fork_in_peers) fork_data_loader();
    for (bool newcomer = true; !stopping; newcomer = false) {
      if (!newcomer) admit_whoever_waits();
      if (peer_.world() < 2) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
        continue;
      }
      fill();
      while (peer_.world() > 1 && !stopping) {
        if (reduce()) break;
      }
    }
  }

 private:
  std::vector<float>& output(std::size_t tensor) {
    return options_.in_place ? inputs_[tensor] : outputs_[tensor];
  }

  // Like PyTorch's data loaders: a child that lives on, with copies of all that was open here, when
  // its parent is killed. It ends when the benchmark does.
  void fork_data_loader() {
    if (fork() != 0) return;
    char byte;
    while (read(options_.leash, &byte, 1) > 0) {
    }
    _exit(0);
  }

  void admit_whoever_waits() {
    bool pending = false;
    peer_.require(pcclArePeersPending(peer_.comm(), &pending), "pcclArePeersPending");
    if (pending) peer_.require(pcclUpdateTopology(peer_.comm()), "pcclUpdateTopology");
  }

  void fill() {
    ++salt_;
    for (std::size_t i = 0; i < inputs_.size(); ++i) {
      bench::write_contribution(inputs_[i].data(), count_, static_cast<int>(i),
                                {options_.peer_id, iteration_, salt_});
    }
  }

  bool reduce() {
    Event event{.id = options_.peer_id, .start = now()};
    pcclReduceInfo_t info{};
    const pcclResult_t result =
        options_.multiple()
            ? pcclAllReduceMultipleWithRetry(operations_.data(), operations_.size(), peer_.comm(),
                                             &info, options_.max_in_flight)
            : pcclAllReduce(operations_[0].sendbuf, operations_[0].recvbuf,
                            &operations_[0].descriptor, peer_.comm(), &info);
    event.end = now();
    event.code = result;
    event.world = result == pcclSuccess ? static_cast<int>(info.local_world_size) : peer_.world();
    if (result == pcclSuccess) read_results(event);
    tell(options_.events, event);
    if (result == pcclSuccess) {
      iteration_ = event.iteration + 1;
      return true;
    }
    if (result != pcclRankConnectionLost && result != pcclTooFewPeers) {
      peer_.require(result,
                    options_.multiple() ? "pcclAllReduceMultipleWithRetry" : "pcclAllReduce");
    }
    return false;
  }

  void read_results(Event& event) {
    event.in_all = ~std::uint64_t{0};
    for (std::size_t i = 0; i < operations_.size(); ++i) {
      const bench::Reading reading = bench::read_sum(output(i).data(), count_, static_cast<int>(i));
      event.iteration = std::max(event.iteration, reading.iteration);
      event.digest = event.digest * 31 + reading.digest;
      event.in_all &= reading.contributors;
      event.in_any |= reading.contributors;
      event.wrong += reading.wrong;
    }
  }

  const Options& options_;
  const std::size_t count_;
  bench::Peer peer_;
  std::uint32_t iteration_ = 0, salt_ = 0;
  std::vector<std::vector<float>> inputs_, outputs_;
  std::vector<pcclReduceOpDescriptor_t> operations_;
};

// ---- The benchmark ------------------------------------------------------------------------------

struct Life {
  int id = 0;
  pid_t pid = 0;
  Nanoseconds last_success = 0;  // or the launch
  int successes_at_full_world = 0;
};

struct Kill {
  Nanoseconds at = 0;
  int victim = 0;
  std::set<int> waiting_for;  // survivors without a success since
};

class Storm {
 public:
  explicit Storm(const Options& options) : options_(options), random_(options.seed) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0 || pipe2(leash_, O_CLOEXEC) != 0) {
      std::perror("pipe2");
      std::exit(1);
    }
    events_in_ = ends[0];
    events_out_ = ends[1];
    fcntl(events_in_, F_SETFL, O_NONBLOCK);
  }

  bool run() {
    for (int i = 1; i < options_.world; ++i) launch();
    if (!listen_until([this] { return everybody_at(options_.world - 1); }, "start")) return false;
    if (!measure_undisturbed()) return false;

    launch();
    for (int i = 0; i < options_.kills; ++i) {
      if (!listen_until([this] { return everybody_at(options_.world); }, "rejoin")) return false;
      const Nanoseconds moment = now() + between(options_.min_wait_ms, options_.max_wait_ms);
      if (!listen_until([=] { return now() > moment; }, "loop")) return false;
      kill_somebody();
      const bool last = i + 1 == options_.kills;
      const Nanoseconds relaunch_at = now() + between(0, options_.max_relaunch_ms);
      if (!listen_until([=] { return now() > relaunch_at; }, "after a kill")) return false;
      if (!last) launch();
      if (!listen_until([this] { return kills_.back().waiting_for.empty(); }, "recovery")) {
        return false;
      }
      if ((i + 1) % 10 == 0) show_progress(i + 1);
    }
    return measure_undisturbed() && stop();
  }

  bool report() {
    const double undisturbed_call = bench::median(undisturbed_calls_);
    const double median = bench::median(recoveries_);
    const double p95 = bench::quantile(recoveries_, 0.95),
                 longest = bench::quantile(recoveries_, 1);
    const double extra = median - undisturbed_call, longest_extra = longest - undisturbed_call;
    std::printf("kills %zu, recoveries %zu, checked iterations %zu, wrong or differing %d\n",
                kills_.size(), recoveries_.size(), referee_.iterations(), referee_.complaints());
    std::printf("calls by result:");
    for (const auto& [code, count] : referee_.codes()) {
      const std::string text = pcclGetErrorString(static_cast<pcclResult_t>(code));
      std::printf("  %s x %d", text.substr(0, text.find(':')).c_str(), count);
    }
    std::printf(
        "\nfrom the kill to a survivor's next success:  median %.1f ms  p95 %.1f ms  "
        "maximum %.1f ms\n",
        median, p95, longest);
    std::printf("  less an undisturbed call:                  median %.1f ms  maximum %.1f ms\n",
                extra, longest_extra);
    std::printf("  %s  median < 40 ms   %s  maximum < 200 ms\n", extra < 40 ? "met" : "MISSED",
                longest_extra < 200 ? "met" : "MISSED");
    char text[512];
    std::snprintf(text, sizeof text,
                  "\"benchmark\":\"kill_recovery\",\"mode\":\"%s\",\"max_in_flight\":%d,"
                  "\"in_place\":%s,\"world\":%d,\"bytes\":%zu,\"kills\":%zu,\"wrong\":%d,"
                  "\"undisturbed_call_ms\":%.2f,\"median_ms\":%.2f,\"p95_ms\":%.2f,\"max_ms\":%.2f,"
                  "\"extra_median_ms\":%.2f,\"extra_max_ms\":%.2f",
                  options_.mode.c_str(), options_.max_in_flight,
                  options_.in_place ? "true" : "false", options_.world, options_.bytes,
                  kills_.size(), referee_.complaints(), undisturbed_call, median, p95, longest,
                  extra, longest_extra);
    bench::record(options_.json, text);
    return referee_.complaints() == 0 && extra < 40 && longest_extra < 200;
  }

 private:
  // At the survivors' world size, before the first kill and after the last: the machine drifts.
  bool measure_undisturbed() {
    const Nanoseconds until = now() + static_cast<Nanoseconds>(options_.calibrate_s * 1e9);
    calls_.clear();
    periods_.clear();
    if (!listen_until([=] { return now() > until; }, "undisturbed calls")) return false;
    std::printf("undisturbed at world %d: call %.1f ms, from success to success %.1f ms\n",
                options_.world - 1, bench::median(calls_), bench::median(periods_));
    std::fflush(stdout);
    undisturbed_calls_.insert(undisturbed_calls_.end(), calls_.begin(), calls_.end());
    return true;
  }

  Nanoseconds between(int from_ms, int to_ms) {
    return std::uniform_int_distribution<Nanoseconds>(from_ms * ms, to_ms * ms)(random_);
  }

  void launch() {
    const int id = next_id_++;
    std::vector<std::string> arguments{"--peer-id",       std::to_string(id),
                                       "--master-port",   std::to_string(master_.port()),
                                       "--events",        std::to_string(events_out_),
                                       "--leash",         std::to_string(leash_[0]),
                                       "--mode",          options_.mode,
                                       "--bytes",         std::to_string(options_.bytes),
                                       "--max-in-flight", std::to_string(options_.max_in_flight)};
    if (options_.in_place) arguments.emplace_back("--in-place");
    if (options_.fork_in_peers) arguments.emplace_back("--fork-in-peers");
    const pid_t pid = children_.start_self(arguments, {events_out_, leash_[0]});
    lives_[id] = {id, pid, now(), 0};
  }

  void kill_somebody() {
    auto victim = lives_.begin();
    std::advance(victim, std::uniform_int_distribution<std::size_t>(0, lives_.size() - 1)(random_));
    Kill kill{.victim = victim->first};
    const pid_t pid = victim->second.pid;
    lives_.erase(victim);
    referee_.killed(kill.victim);
    for (auto& [id, life] : lives_) {
      kill.waiting_for.insert(id);
      life.successes_at_full_world = 0;
    }
    kill.at = now();
    kills_.push_back(kill);
    children_.kill_and_reap(pid);
  }

  bool everybody_at(int world) const {
    return static_cast<int>(lives_.size()) == world &&
           std::all_of(lives_.begin(), lives_.end(),
                       [](const auto& entry) { return entry.second.successes_at_full_world >= 2; });
  }

  // Hears events until `done`. False, with an explanation, when a peer ended by itself or hangs.
  template <typename Done>
  bool listen_until(Done done, const char* phase) {
    while (!done()) {
      pollfd input{events_in_, POLLIN, 0};
      poll(&input, 1, 1);
      read_events();
      if (const auto exit = children_.reap_any()) {
        std::fprintf(stderr, "%s (%s)\n", bench::describe(*exit).c_str(), phase);
        return false;
      }
      for (const auto& [id, life] : lives_) {
        const double silent_s = static_cast<double>(now() - life.last_success) / 1e9;
        if (silent_s < options_.hang_s) continue;
        std::fprintf(stderr, "peer %d (process %d) has had no success for %.0f s (%s)\n", id,
                     life.pid, silent_s, phase);
        return false;
      }
    }
    return true;
  }

  void read_events() {
    char buffer[65536];
    for (ssize_t n; (n = read(events_in_, buffer, sizeof buffer)) > 0;) {
      unread_.append(buffer, static_cast<std::size_t>(n));
    }
    std::size_t begin = 0;
    for (std::size_t end; (end = unread_.find('\n', begin)) != std::string::npos; begin = end + 1) {
      Event event;
      const std::string line = unread_.substr(begin, end - begin);
      if (std::sscanf(line.c_str(),
                      "%d %" SCNd64 " %" SCNd64 " %d %d %u %" SCNx64 " %" SCNx64 " %" SCNx64 " %zu",
                      &event.id, &event.start, &event.end, &event.code, &event.world,
                      &event.iteration, &event.digest, &event.in_all, &event.in_any,
                      &event.wrong) == 10) {
        hear(event);
      }
    }
    unread_.erase(0, begin);
  }

  void hear(const Event& event) {
    referee_.hear(event);
    const auto life = lives_.find(event.id);
    if (event.code != pcclSuccess || life == lives_.end()) return;
    const auto contributors = std::popcount(event.in_all);
    if (contributors == static_cast<int>(lives_.size())) ++life->second.successes_at_full_world;
    calls_.push_back(static_cast<double>(event.end - event.start) / 1e6);
    periods_.push_back(static_cast<double>(event.end - life->second.last_success) / 1e6);
    life->second.last_success = event.end;
    if (kills_.empty()) return;
    // A call that the victim still had a part in, and that ended after the kill, is no recovery.
    Kill& kill = kills_.back();
    const bool without_victim = (event.in_all >> (kill.victim % bench::slots) & 1) == 0;
    if (event.end > kill.at && without_victim && kill.waiting_for.erase(event.id) > 0) {
      recoveries_.push_back(static_cast<double>(event.end - kill.at) / 1e6);
    }
  }

  void show_progress(int kills) {
    std::printf("  %d kills, iteration %u, recovery median %.1f ms, maximum %.1f ms\n", kills,
                referee_.newest_iteration(), bench::median(recoveries_),
                bench::quantile(recoveries_, 1));
    std::fflush(stdout);
  }

  bool stop() {
    const std::uint32_t last_full_iteration = referee_.newest_iteration();
    read_events();
    for (const pid_t pid : children_.running()) children_.kill(pid, SIGTERM);
    const bool good = children_.all_succeed_within(std::chrono::seconds(10));
    read_events();
    referee_.judge_the_whole(last_full_iteration == 0 ? 0 : last_full_iteration - 1);
    return good;
  }

  const Options& options_;
  std::mt19937_64 random_;
  bench::LocalMaster master_;
  int events_in_ = -1, events_out_ = -1, leash_[2] = {-1, -1};
  bench::Children children_;
  std::map<int, Life> lives_;
  int next_id_ = 0;
  std::string unread_;
  Referee referee_;
  std::vector<Kill> kills_;
  std::vector<double> recoveries_, calls_, periods_, undisturbed_calls_;  // milliseconds
};

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("Kill peers of a running group and time how fast the others go on");
  app.add_option("-n,--world", options.world, "peers")->check(CLI::Range(3, 32));
  app.add_option("--kills", options.kills);
  app.add_option("--bytes", options.bytes, "reduced per iteration")
      ->transform(CLI::AsSizeValue(false));
  app.add_option("--mode", options.mode, "plain: one pcclAllReduce; multiple: 8 tensors with retry")
      ->check(CLI::IsMember({"plain", "multiple"}));
  app.add_option("--max-in-flight", options.max_in_flight, "for multiple");
  app.add_flag("--in-place", options.in_place);
  app.add_flag("--fork-in-peers", options.fork_in_peers,
               "each peer forks a child that outlives it, as data loaders do");
  app.add_option("--calibrate", options.calibrate_s,
                 "seconds of undisturbed calls before and after");
  app.add_option("--min-wait-ms", options.min_wait_ms, "from a whole group to the next kill");
  app.add_option("--max-wait-ms", options.max_wait_ms);
  app.add_option("--max-relaunch-ms", options.max_relaunch_ms, "from a kill to its replacement");
  app.add_option("--hang", options.hang_s, "seconds without success that count as a hang");
  app.add_option("--seed", options.seed, "of the choice of victims and moments");
  app.add_option("--timeout", options.timeout_s, "seconds until the whole run is given up");
  app.add_option("--json", options.json, "append a line to this file");
  app.add_option("--peer-id", options.peer_id)->group("");
  app.add_option("--master-port", options.master_port)->group("");
  app.add_option("--events", options.events)->group("");
  app.add_option("--leash", options.leash)->group("");
  CLI11_PARSE(app, argc, argv);

  if (options.peer_id >= 0) {
    std::signal(SIGTERM, [](int) { stopping = true; });
    ReducingPeer(options).run();
    return 0;
  }
  std::printf("world %d, %zu bytes, %s%s, %d kills\n", options.world, options.bytes,
              options.mode.c_str(), options.in_place ? ", in place" : "", options.kills);
  bench::die_after(std::chrono::seconds(options.timeout_s));
  Storm storm(options);
  const bool lived = storm.run();
  const bool good = storm.report();
  return lived && good ? 0 : 1;
}
