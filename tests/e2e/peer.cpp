// e2e_peer: one process of a run, told what to do line by line on stdin, answering on stdout.
//
//   reduce tag=3 count=100 type=10 op=0      a command and its arguments
//   done reduce pcclSuccess world=3 | text   one answer per command, after the bar the last error
//   event failed result=...                  in between: news of a running loop
//
// Commands run in order on the main thread. `now COMMAND` runs at once on the thread that reads
// stdin, and `stop` ends a running loop. The process ends with stdin.
#include <fcntl.h>
#include <pccl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <deque>
#include <iostream>
#include <map>
#include <memory>
#include <mutex>
#include <numeric>
#include <random>
#include <sstream>
#include <string>
#include <thread>

#include "e2e/absurd_calls.hpp"
#include "e2e/clock.hpp"
#include "e2e/peer_lines.hpp"
#include "e2e/peer_state.hpp"
#include "e2e/peer_tensor.hpp"
#include "e2e/values.hpp"

namespace e2e {
namespace {

class Peer {
 public:
  std::atomic<bool> stop = false;
  std::atomic<std::uint64_t> rounds = 0;  // of all loops together

  void run(const Command& command, const std::string& prefix = "") {
    using Method = pcclResult_t (Peer::*)(const Command&, Words&);
    static const std::map<std::string, Method> methods{
        {"create", &Peer::create}, {"connect", &Peer::connect},   {"destroy", &Peer::destroy},
        {"join", &Peer::join},     {"update", &Peer::update},     {"pending", &Peer::pending},
        {"sizes", &Peer::sizes},   {"reduce", &Peer::reduce},     {"launch", &Peer::launch},
        {"await", &Peer::await},   {"shuffled", &Peer::shuffled}, {"flood", &Peer::flood},
        {"loop", &Peer::loop},     {"fork", &Peer::fork_child},   {"absurd", &Peer::absurd},
        {"churn", &Peer::churn},   {"state", &Peer::state},       {"touch", &Peer::touch},
        {"sync", &Peer::sync},     {"optimize", &Peer::optimize}};
    Words words;
    const auto method = methods.find(command.name());
    if (method == methods.end()) {
      print("done " + prefix + command.name() + " unknown-command");
      return;
    }
    const std::uint64_t begin = now_ns();
    const pcclResult_t result = (this->*method->second)(command, words);
    const std::uint64_t end = now_ns();
    words.add("t", end).add("took", end - begin);
    print("done " + prefix + command.name() + " " + name_of(result) + words.text() + " | " +
          last_error());
  }

 private:
  std::string last_error() const {
    char text[1200] = {};
    if (comm_ != nullptr) pcclGetLastError(comm_, text, sizeof text);
    std::string line(text);
    std::replace(line.begin(), line.end(), '\n', ' ');
    return line;
  }
  int attribute(pcclAttribute_t which) const {
    int value = -1;
    pcclGetAttribute(comm_, which, &value);
    return value;
  }
  std::uint32_t group_world() const {
    return static_cast<std::uint32_t>(attribute(PCCL_ATTRIBUTE_PEER_GROUP_WORLD_SIZE));
  }

  pcclResult_t create(const Command& command, Words&) {
    pcclInit();
    id_ = static_cast<std::uint32_t>(command.number("id"));
    pcclCommCreateParams_t params{};
    params.master_address.port = static_cast<std::uint16_t>(command.number("port"));
    if (command.number("v6") != 0) {
      params.master_address.inet.protocol = inetIPv6;
      params.master_address.inet.ipv6.data[15] = 1;
    } else {
      std::istringstream host(command.text("host"));
      std::string octet;
      for (auto& byte : params.master_address.inet.ipv4.data) {
        std::getline(host, octet, '.');
        byte = static_cast<std::uint8_t>(std::stoul(octet));
      }
    }
    params.peer_group = static_cast<std::uint32_t>(command.number("group"));
    params.p2p_connection_pool_size = static_cast<std::uint32_t>(command.number("lanes"));
    pcclComm_t* made = nullptr;
    const pcclResult_t result = pcclCreateCommunicator(&params, &made);
    comm_ = made;
    return result;
  }
  pcclResult_t connect(const Command&, Words&) { return pcclConnect(comm_); }
  pcclResult_t destroy(const Command&, Words&) {
    return pcclDestroyCommunicator(comm_.exchange(nullptr));
  }
  pcclResult_t update(const Command&, Words&) { return pcclUpdateTopology(comm_); }
  pcclResult_t optimize(const Command&, Words&) { return pcclOptimizeTopology(comm_); }
  pcclResult_t pending(const Command&, Words& words) {
    bool pending = false;
    const pcclResult_t result = pcclArePeersPending(comm_, &pending);
    words.add("pending", pending);
    return result;
  }
  pcclResult_t sizes(const Command&, Words& words) {
    int unused = 0;
    const pcclResult_t result = pcclGetAttribute(comm_, PCCL_ATTRIBUTE_GLOBAL_WORLD_SIZE, &unused);
    words.add("global", attribute(PCCL_ATTRIBUTE_GLOBAL_WORLD_SIZE))
        .add("world", group_world())
        .add("groups", attribute(PCCL_ATTRIBUTE_NUM_DISTINCT_PEER_GROUPS))
        .add("largest", attribute(PCCL_ATTRIBUTE_LARGEST_PEER_GROUP_WORLD_SIZE));
    return result;
  }

  // Asks and admits, as all accepted peers do alike, until the run has `world` peers.
  pcclResult_t join(const Command& command, Words& words) {
    pcclResult_t result = command.number("admit") != 0 ? pcclSuccess : pcclConnect(comm_);
    const auto wanted = static_cast<int>(command.number("world"));
    while (result == pcclSuccess && attribute(PCCL_ATTRIBUTE_GLOBAL_WORLD_SIZE) < wanted) {
      bool pending = false;
      result = pcclArePeersPending(comm_, &pending);
      if (result == pcclSuccess && pending) result = pcclUpdateTopology(comm_);
      if (!pending) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    words.add("global", attribute(PCCL_ATTRIBUTE_GLOBAL_WORLD_SIZE));
    return result;
  }

  Tensor tensor_of(const Command& command) const {
    return {descriptor_of(command), command.number("inplace") != 0, id_,
            static_cast<std::uint32_t>(command.number("world", group_world())),
            command.number("seed")};
  }
  pcclResult_t reduce(const Command& command, Words& words) {
    Tensor tensor = tensor_of(command);
    pcclReduceInfo_t info{};
    const std::uint64_t begin = now_ns();
    const pcclResult_t result =
        pcclAllReduce(tensor.send(), tensor.receive(), &tensor.descriptor(), comm_, &info);
    words.add("call", now_ns() - begin);
    tensor.report(result, words);
    words.add("world", info.local_world_size).add("tx", info.tx_bytes).add("rx", info.rx_bytes);
    return result;
  }
  pcclResult_t launch(const Command& command, Words&) {
    Tensor tensor = tensor_of(command);
    pcclAsyncReduceOp_t handle{};
    const pcclResult_t result =
        pcclAllReduceAsync(tensor.send(), tensor.receive(), &tensor.descriptor(), comm_, &handle);
    // Moving the vectors leaves the buffers where they are.
    if (result == pcclSuccess)
      launched_.insert_or_assign(handle.tag, std::pair{handle, std::move(tensor)});
    return result;
  }
  pcclResult_t await(const Command& command, Words& words) {
    const auto found = launched_.find(command.number("tag"));
    const pcclAsyncReduceOp_t handle = found == launched_.end()
                                           ? pcclAsyncReduceOp_t{comm_, command.number("tag")}
                                           : found->second.first;
    const pcclResult_t result = pcclAwaitAsyncReduce(&handle, nullptr);
    if (found != launched_.end()) {
      found->second.second.report(result, words);
      launched_.erase(found);
    }
    return result;
  }

  // `ops` all-reduces at once, launched and awaited in an order of this peer's own.
  pcclResult_t shuffled(const Command& command, Words& words) {
    const std::size_t ops = command.number("ops", 32);
    std::vector<std::size_t> order(ops);
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::mt19937_64 random(command.number("seed") * 1000 + id_);
    std::vector<Tensor> tensors;
    for (std::size_t op = 0; op < ops; ++op) {
      pcclReduceDescriptor_t descriptor = descriptor_of(command);
      descriptor.tag = op;
      descriptor.count += op;
      tensors.emplace_back(descriptor, op % 2 == 0, id_, group_world(),
                           command.number("seed") + op);
    }
    std::vector<pcclAsyncReduceOp_t> handles(ops);
    pcclResult_t result = pcclSuccess;
    const auto keep = [&result](pcclResult_t one) {
      if (result == pcclSuccess) result = one;
    };
    std::shuffle(order.begin(), order.end(), random);
    for (const std::size_t op : order)
      keep(pcclAllReduceAsync(tensors[op].send(), tensors[op].receive(), &tensors[op].descriptor(),
                              comm_, &handles[op]));
    std::shuffle(order.begin(), order.end(), random);
    for (const std::size_t op : order) keep(pcclAwaitAsyncReduce(&handles[op], nullptr));
    words.add("right", std::all_of(tensors.begin(), tensors.end(),
                                   [](const Tensor& tensor) { return tensor.is_right(); }));
    return result;
  }

  // Launches until a launch is refused or `limit` is reached, then awaits all of them.
  pcclResult_t flood(const Command& command, Words& words) {
    std::uint32_t number = id_;
    pcclResult_t refused = pcclSuccess;
    std::vector<pcclAsyncReduceOp_t> handles;
    std::vector<std::uint32_t> received(command.number("limit", 5000));
    while (handles.size() < received.size()) {
      pcclReduceDescriptor_t descriptor{};
      descriptor.count = 1;
      descriptor.tag = handles.size();
      descriptor.src_descriptor.datatype = pcclUint32;
      pcclAsyncReduceOp_t handle{};
      refused = pcclAllReduceAsync(&number, &received[handles.size()], &descriptor, comm_, &handle);
      if (refused != pcclSuccess) break;
      handles.push_back(handle);
    }
    words.add("launched", handles.size());
    print("event flooded launched=" + std::to_string(handles.size()) +
          " result=" + name_of(refused) + " | " + last_error());
    std::size_t succeeded = 0;
    for (const auto& handle : handles)
      succeeded += pcclAwaitAsyncReduce(&handle, nullptr) == pcclSuccess ? 1 : 0;
    words.add("succeeded", succeeded);
    return refused;
  }

  // ---- the loop of a training program
  // ------------------------------------------------------------

  struct LoopState {
    std::uint64_t rounds = 0, failures = 0, wrong = 0;
    bool news = true;  // the next success is worth telling
    std::uint32_t world = 0;
    std::uint64_t last_success = now_ns(), longest_pause = 0;
  };

  // All-reduces until someone's vote to stop has been summed, with pump: admitting who waits after
  // each success. Every buffer is checked, after failures for the restored input.
  pcclResult_t loop(const Command& command, Words& words) {
    LoopState state;
    const std::uint64_t most = command.number("rounds", ~std::uint64_t{0});
    pcclResult_t result = pcclSuccess;
    bool stopping = false;
    while (!stopping && state.rounds < most) {
      const std::uint32_t world = group_world();
      if (world < 2) {
        if (stop) break;
        result = command.number("pump") != 0 ? pump() : pcclTooFewPeers;
        if (result != pcclSuccess) break;
        if (group_world() < 2) std::this_thread::sleep_for(std::chrono::milliseconds(2));
        continue;
      }
      result = command.number("retry") != 0 ? round_with_retry(command, state, stopping)
                                            : round(command, state, stopping);
      if (result == pcclSuccess) {
        ++state.rounds;
        ++rounds;
        tell_success(state);
        if (!stopping && command.number("pump") != 0) result = pump();
        if (result != pcclSuccess) break;
      } else if (result == pcclRankConnectionLost) {
        ++state.failures;
        state.news = true;
        print("event failed t=" + std::to_string(now_ns()) + " world=" +
              std::to_string(group_world()) + " result=" + name_of(result) + " | " + last_error());
      } else if (result == pcclTooFewPeers) {
        state.news = true;
      } else {
        break;
      }
    }
    stop = false;
    words.add("rounds", state.rounds)
        .add("failures", state.failures)
        .add("wrong", state.wrong)
        .add("longest_pause", state.longest_pause)
        .add("world", group_world());
    return result == pcclRankConnectionLost ? pcclSuccess : result;
  }

  pcclResult_t pump() {
    bool pending = false;
    const pcclResult_t result = pcclArePeersPending(comm_, &pending);
    return result == pcclSuccess && pending ? pcclUpdateTopology(comm_) : result;
  }

  void tell_success(LoopState& state) {
    const std::uint64_t now = now_ns();
    state.longest_pause = std::max(state.longest_pause, now - state.last_success);
    state.last_success = now;
    if (!state.news && group_world() == state.world) return;
    state.news = false;
    state.world = group_world();
    print("event ok t=" + std::to_string(now_ns()) + " world=" + std::to_string(state.world) +
          " round=" + std::to_string(state.rounds));
  }

  pcclReduceDescriptor_t loop_descriptor(const Command& command, std::uint64_t tag) const {
    pcclReduceDescriptor_t descriptor{};
    descriptor.count = std::max<std::uint64_t>(command.number("count", 5000), loop_header);
    descriptor.tag = tag;
    descriptor.src_descriptor.datatype = pcclUint32;
    return descriptor;
  }

  pcclResult_t round(const Command& command, LoopState& state, bool& stopping) {
    const pcclReduceDescriptor_t descriptor = loop_descriptor(command, 1);
    const auto salt = static_cast<std::uint32_t>(random_());
    sent_.resize(descriptor.count);
    fill_round(sent_, id_, salt, stop);
    received_ = sent_;
    const bool in_place = command.number("inplace", 1) != 0;
    pcclReduceInfo_t info{};
    const pcclResult_t result = pcclAllReduce(in_place ? received_.data() : sent_.data(),
                                              received_.data(), &descriptor, comm_, &info);
    if (result == pcclSuccess) {
      stopping = received_[0] > 0;
      if (!round_is_right(received_, id_, salt, info.local_world_size)) ++state.wrong;
    } else if (in_place && received_ != sent_) {
      ++state.wrong;
    }
    return result;
  }

  pcclResult_t round_with_retry(const Command& command, LoopState& state, bool& stopping) {
    const std::size_t tensors = command.number("tensors", 8);
    std::vector<std::vector<std::uint32_t>> buffers(tensors);
    std::vector<std::uint32_t> salts(tensors);
    std::vector<pcclReduceOpDescriptor_t> descriptors(tensors);
    for (std::size_t i = 0; i < tensors; ++i) {
      descriptors[i].descriptor = loop_descriptor(command, i);
      salts[i] = static_cast<std::uint32_t>(random_());
      buffers[i].resize(descriptors[i].descriptor.count);
      fill_round(buffers[i], id_, salts[i], stop);
      descriptors[i].sendbuf = descriptors[i].recvbuf = buffers[i].data();
    }
    pcclReduceInfo_t info{};
    const pcclResult_t result =
        pcclAllReduceMultipleWithRetry(descriptors.data(), tensors, comm_, &info,
                                       static_cast<int>(command.number("in_flight", 4)));
    if (result != pcclSuccess) return result;
    stopping = buffers.back()[0] > 0;  // a death in between may have left earlier ones without it
    // Any of those in flight at a death may be done before it, the last one too; others are not.
    std::uint32_t smallest_world = UINT32_MAX;
    for (std::size_t i = 0; i < tensors; ++i) {
      const auto world = static_cast<std::uint32_t>(std::popcount(buffers[i][1]));
      smallest_world = std::min(smallest_world, world);
      if (!round_is_right(buffers[i], id_, salts[i], world)) ++state.wrong;
    }
    if (smallest_world != info.local_world_size) ++state.wrong;
    return result;
  }

  // ---- the rest
  // ------------------------------------------------------------------------------------

  // Like PyTorch's data loaders: a child that knows nothing of the library. It outlives this
  // process, the test ends it; the alarm is for a test that cannot.
  pcclResult_t fork_child(const Command&, Words& words) {
    std::array<int, 2> born{};
    if (::pipe2(born.data(), O_CLOEXEC) != 0) return pcclInternalError;
    const pid_t child = ::fork();
    if (child == 0) {
      alarm(300);
      for (const int fd : {STDIN_FILENO, STDOUT_FILENO, born[0], born[1]}) ::close(fd);
      while (true) ::pause();
    }
    ::close(born[1]);
    char nothing = 0;
    // Its end of the pipe closes once the child has come back from fork().
    [[maybe_unused]] const ssize_t ended = ::read(born[0], &nothing, 1);
    ::close(born[0]);
    words.add("child", child);
    return child > 0 ? pcclSuccess : pcclInternalError;
  }

  // Communicators that come and go, each after an attempt to connect.
  pcclResult_t churn(const Command& command, Words& words) {
    pcclResult_t result = pcclSuccess;
    for (std::uint64_t i = 0; i < command.number("count"); ++i) {
      create(command, words);
      result = pcclConnect(comm_);
      pcclDestroyCommunicator(comm_.exchange(nullptr));
    }
    return result;
  }

  pcclResult_t absurd(const Command&, Words& words) {
    const AbsurdCalls calls = make_absurd_calls(comm_);
    words.add("refused", calls.refused).add("tried", calls.tried);
    return pcclSuccess;
  }

  // ---- shared state
  // --------------------------------------------------------------------------------

  pcclResult_t state(const Command& command, Words& words) {
    const std::string prefix = command.text("names");
    state_ = std::make_unique<State>(command.number("tensors", 5), command.number("bytes", 1000),
                                     command.number("seed"), command.number("exempt") != 0,
                                     prefix.empty() ? "tensor" : prefix);
    describe(words);
    return pcclSuccess;
  }
  pcclResult_t touch(const Command& command, Words& words) {
    state_->touch(command.number("every", 1 << 20));
    describe(words);
    return pcclSuccess;
  }
  pcclResult_t sync(const Command& command, Words& words) {
    pcclSharedState_t view = state_->view(command.number("revision"));
    pcclSharedStateSyncInfo_t info{};
    const std::uint64_t begin = now_ns();
    const pcclResult_t result = pcclSynchronizeSharedState(
        comm_, &view, static_cast<pcclSharedStateSyncStrategy_t>(command.number("strategy")),
        &info);
    words.add("call", now_ns() - begin);
    words.add("revision", view.revision).add("tx", info.tx_bytes).add("rx", info.rx_bytes);
    describe(words);
    return result;
  }
  void describe(Words& words) const {
    words.add("digest", state_->digest(false)).add("own", state_->digest(true));
  }

  std::uint32_t id_ = 0;
  std::unique_ptr<State> state_;
  std::atomic<pcclComm_t*> comm_ = nullptr;
  std::map<std::uint64_t, std::pair<pcclAsyncReduceOp_t, Tensor>> launched_;
  std::vector<std::uint32_t> sent_, received_;
  std::mt19937_64 random_{std::random_device{}()};
};

int main_loop() {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  Peer peer;
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<std::string> queue;
  bool ended = false;
  std::thread reader([&] {
    std::string line;
    while (std::getline(std::cin, line)) {
      if (line == "stop") {
        peer.stop = true;
      } else if (line == "progress") {
        print("progress now rounds=" + std::to_string(peer.rounds));
      } else if (line.starts_with("now ")) {
        peer.run(Command(line.substr(4)), "now-");
      } else {
        const std::lock_guard guard(mutex);
        queue.push_back(line);
        changed.notify_one();
      }
    }
    const std::lock_guard guard(mutex);
    ended = true;
    changed.notify_one();
  });
  while (true) {
    std::unique_lock guard(mutex);
    changed.wait(guard, [&] { return ended || !queue.empty(); });
    if (queue.empty()) break;
    const std::string line = queue.front();
    queue.pop_front();
    guard.unlock();
    peer.run(Command(line));
  }
  reader.join();
  return 0;
}

}  // namespace
}  // namespace e2e

int main() {
  return e2e::main_loop();
}
