#include "e2e/run.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iomanip>
#include <iostream>
#include <iterator>
#include <map>
#include <sstream>
#include <stdexcept>

namespace e2e {

namespace {

std::string seconds(double value) {
  return std::to_string(value);
}

// A port below the range that the kernel hands out to others, different for each test process.
std::uint16_t next_candidate() {
  static std::uint32_t next = static_cast<std::uint32_t>(::getpid());
  next = next * 1664525 + 1013904223;
  return static_cast<std::uint16_t>(15000 + (next >> 8) % 15000);
}

bool is_free(std::uint16_t port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  const bool free = ::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  ::close(fd);
  return free;
}

}  // namespace

std::uint16_t free_port() {
  std::uint16_t port = next_candidate();
  while (!is_free(port)) port = next_candidate();
  return port;
}

// ---- a peer
// --------------------------------------------------------------------------------------

namespace {

// Peers 2, 5, 8, ... keep to TCP: most rings have links of both kinds.
const char* shared_memory_of(std::uint32_t id) {
  return id % 3 == 2 ? "0" : "1";
}

Process::Options process_options(std::uint32_t id, const RunOptions& run, const PeerOptions& peer) {
  Process::Options options;
  options.environment = {{"PCCL_PEER_TIMEOUT", seconds(run.peer_timeout_s)},
                         {"PCCL_MASTER_TIMEOUT", seconds(run.master_timeout_s)},
                         {"PCCL_SHM", shared_memory_of(id)},
                         {"PCCL_LOG_LEVEL", "INFO"}};
  for (const auto& [key, value] : peer.environment) options.environment[key] = value;
  options.network_namespace = peer.network_namespace;
  return options;
}

}  // namespace

Peer::Peer(std::uint32_t id, const RunOptions& run, std::uint16_t master_port,
           const PeerOptions& options)
    : Process("peer " + std::to_string(id), {E2E_PEER}, process_options(id, run, options)),
      id_(id) {
  std::ostringstream command;
  command << "create id=" << id << " port=" << master_port << " group=" << options.group
          << " lanes=" << options.lanes;
  if (run.v6)
    command << " v6";
  else
    command << " host=" << run.host;
  create_ = command.str();
}

void Peer::create() {
  const Line created = ask(create_);
  if (!created.ok()) throw std::runtime_error(name() + ": " + created.whole);
}

namespace {
bool is_answer(const Line& line) {
  return line.verb == "done" && !line.name.starts_with("now-");
}
}  // namespace

Line Peer::answer(Clock::duration within) {
  return wait_for("an answer", is_answer, within);
}

bool Peer::has_answered() {
  return has(is_answer);
}

std::uint64_t Peer::rounds() {
  say("progress");
  return wait_for("progress", [](const Line& line) { return line.verb == "progress"; })
      .number("rounds");
}

void Peer::wait_for_progress() {
  const std::uint64_t before = rounds();
  const auto deadline = Clock::now() + patience;
  while (rounds() < before + 2)
    if (Clock::now() > deadline) throw std::runtime_error(name() + " does not go on");
}

Line Peer::event(const std::string& event_name, Clock::duration within) {
  return wait_for(
      "event " + event_name,
      [&](const Line& line) { return line.verb == "event" && line.name == event_name; }, within);
}

Line Peer::event_after(const std::string& event_name, std::uint64_t t, Clock::duration within) {
  return wait_for(
      "event " + event_name,
      [&](const Line& line) {
        return line.verb == "event" && line.name == event_name && line.number("t") > t;
      },
      within);
}

std::uint16_t Peer::p2p_port() const {
  return doors().at(0);
}

std::vector<std::uint16_t> Peer::doors() const {
  const std::vector<std::string> mine = open_files(pid());
  std::map<unsigned long, std::uint16_t> ports;  // by inode: the order in which they were opened
  for (const char* table : {"/net/tcp", "/net/tcp6"}) {
    std::ifstream lines("/proc/" + std::to_string(pid()) + table);
    std::string line;
    std::getline(lines, line);
    while (std::getline(lines, line)) {
      std::istringstream words(line);
      std::vector<std::string> fields{std::istream_iterator<std::string>(words), {}};
      constexpr const char* listening = "0A";
      if (fields.size() < 10 || fields[3] != listening) continue;
      if (std::find(mine.begin(), mine.end(), "socket:[" + fields[9] + "]") == mine.end()) continue;
      ports[std::stoul(fields[9])] = static_cast<std::uint16_t>(
          std::stoul(fields[1].substr(fields[1].find(':') + 1), nullptr, 16));
    }
  }
  if (ports.empty()) throw std::runtime_error(name() + " listens on no port");
  std::vector<std::uint16_t> in_order;
  for (const auto& [inode, port] : ports) in_order.push_back(port);
  return in_order;
}

std::size_t Peer::resident_kib() const {
  return e2e::resident_kib(pid());
}

std::size_t resident_kib(pid_t process) {
  std::ifstream status("/proc/" + std::to_string(process) + "/status");
  std::string line;
  while (std::getline(status, line))
    if (line.starts_with("VmRSS:")) return std::stoul(line.substr(6));
  return 0;
}

std::vector<std::string> open_files(pid_t process) {
  std::vector<std::string> files;
  std::error_code gone;
  for (const auto& entry :
       std::filesystem::directory_iterator("/proc/" + std::to_string(process) + "/fd", gone)) {
    const auto target = std::filesystem::read_symlink(entry.path(), gone);
    if (!gone) files.push_back(target.string());
  }
  return files;
}

bool connected_to(pid_t process, const std::string& v4_address) {
  in_addr address{};
  ::inet_pton(AF_INET, v4_address.c_str(), &address);
  std::ostringstream as_listed;
  as_listed << std::hex << std::uppercase << std::setfill('0') << std::setw(8) << address.s_addr
            << ':';
  constexpr const char* established = "01";
  std::ifstream table("/proc/" + std::to_string(process) + "/net/tcp");
  std::string line, number, local, remote, state;
  while (std::getline(table, line)) {
    std::istringstream(line) >> number >> local >> remote >> state;
    if (state == established && remote.starts_with(as_listed.str())) return true;
  }
  return false;
}

// ---- a run
// ---------------------------------------------------------------------------------------

LiveRun::LiveRun(RunOptions options) : options_(std::move(options)) {
  // Another process may take the port between the look and the bind.
  for (int attempt = 0; attempt < 20; ++attempt) {
    port_ = free_port();
    try {
      start_master();
      return;
    } catch (const std::runtime_error&) {
      if (attempt == 19) throw;
    }
  }
}

void LiveRun::start_master() {
  Process::Options options;
  options.environment["PCCL_LOG_LEVEL"] = "INFO";
  // The first one meets nobody of a life before, and need not wait for them.
  if (master_ == nullptr) options.environment["PCCL_MASTER_GRACE"] = "0";
  options.network_namespace = options_.master_namespace;
  const std::string host = options_.v6 ? "[::1]" : options_.host;
  std::vector<std::string> arguments{E2E_MASTER, "--listen", host + ":" + std::to_string(port_),
                                     "--peer-timeout", seconds(options_.peer_timeout_s)};
  arguments.insert(arguments.end(), options_.master_arguments.begin(),
                   options_.master_arguments.end());
  master_ = std::make_unique<Process>("master", arguments, options);
  master_->wait_for("it to listen", [](const Line& line) { return line.name == "listening"; });
}

LiveRun::~LiveRun() {
  const bool unwinding = std::uncaught_exceptions() > 0;
  const auto in_peace = [&](Process& process, const char* how) {
    if (!process.alive() || unwinding || ::testing::Test::HasFatalFailure()) return;
    try {
      const int code = how[0] == 'e' ? process.end() : process.wait_for_end();
      EXPECT_EQ(code, 0) << process.transcript();
    } catch (const std::exception& error) {
      ADD_FAILURE() << error.what();
    }
  };
  for (const auto& peer : peers_) in_peace(*peer, "end of stdin");
  if (master_) {
    master_->signal(SIGTERM);
    in_peace(*master_, "signal");
  }
  if (!unwinding && !::testing::Test::HasFailure()) return;
  for (const auto& peer : peers_) std::cout << peer->transcript();
  if (master_) std::cout << master_->transcript() << std::endl;
}

Peer& LiveRun::start(const PeerOptions& options) {
  PeerOptions with_host = options;
  peers_.push_back(std::make_unique<Peer>(static_cast<std::uint32_t>(peers_.size()), options_,
                                          port_, with_host));
  peers_.back()->create();
  return *peers_.back();
}

std::vector<Peer*> LiveRun::join(std::size_t count, const PeerOptions& options) {
  std::vector<Peer*> joined;
  for (std::size_t i = 0; i < count; ++i) joined.push_back(&start(options));
  expect_all(ask_all(joined, "join world=" + std::to_string(count)), "pcclSuccess");
  return joined;
}

std::vector<Line> ask_all(const std::vector<Peer*>& peers, const std::string& command) {
  for (Peer* peer : peers) peer->say(command);
  return answers(peers);
}

std::vector<Line> answers(const std::vector<Peer*>& peers, Clock::duration within) {
  std::vector<Line> lines;
  for (Peer* peer : peers) lines.push_back(peer->answer(within));
  return lines;
}

void expect_all(const std::vector<Line>& lines, const std::string& result) {
  for (const Line& line : lines) EXPECT_EQ(line.result, result) << line.whole;
}

double seconds_until_world(const std::vector<Peer*>& peers, std::size_t world,
                           std::uint64_t since) {
  double longest = 0;
  for (Peer* peer : peers) {
    Line ok = peer->event_after("ok", since);
    while (ok.number("world") != world) ok = peer->event_after("ok", since);
    longest = std::max(longest, static_cast<double>(ok.number("t") - since) * 1e-9);
  }
  return longest;
}

void wait_until_pending(const std::vector<Peer*>& accepted) {
  const auto deadline = Clock::now() + patience;
  while (ask_all(accepted, "pending").front().number("pending") == 0)
    if (Clock::now() > deadline) throw std::runtime_error("nobody is pending");
}

std::vector<Line> stop_loop(const std::vector<Peer*>& peers) {
  for (Peer* peer : peers) peer->say("stop");
  std::vector<Line> lines = answers(peers);
  for (const Line& line : lines) {
    EXPECT_TRUE(line.ok()) << line.whole;
    EXPECT_EQ(line.number("wrong"), 0U) << line.whole;
    EXPECT_GT(line.number("rounds"), 0U) << line.whole;
  }
  return lines;
}

}  // namespace e2e
