// Hosts far from each other: the WAN emulator of ../shared/wanem (or -DPCCL_WANEM=FOLDER), which is
// built beside these tests where it is found. Each host is a network namespace, 10.77.0.1, .2, ...
// Needs root and TUN.
#pragma once

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "e2e/process.hpp"

namespace e2e {

class WideArea {
 public:
  // What keeps it from running here; empty: nothing.
  static std::string missing() {
    if (std::string(E2E_WANEM).empty()) return "no WAN emulator in ../shared/wanem or PCCL_WANEM";
    if (::geteuid() != 0) return "the WAN emulator needs root";
    if (::access("/dev/net/tun", R_OK | W_OK) != 0) return "the WAN emulator needs /dev/net/tun";
    return {};
  }

  WideArea(std::size_t hosts, const std::vector<std::string>& options)
      : name_("e2e" + std::to_string(::getpid())) {
    std::vector<std::string> up{E2E_WANEM, "up",      "--foreground",       "--name",
                                name_,     "--hosts", std::to_string(hosts)};
    up.insert(up.end(), options.begin(), options.end());
    emulator_ = std::make_unique<Process>("wanem", up, Process::Options{});
    emulator_->wait_for("it to be ready", [](const Line& line) { return line.name == "ready:"; });
    for (std::size_t host = 1; host <= hosts; ++host) {
      const std::string file = "/run/netns/wanem-" + name_ + "-" + std::to_string(host);
      namespaces_.push_back(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
    }
  }
  ~WideArea() {
    for (const int fd : namespaces_) ::close(fd);
    emulator_->signal(SIGTERM);  // it removes what it has made
    try {
      emulator_->wait_for_end();
    } catch (const std::exception&) {
      emulator_->kill();
    }
  }
  WideArea(const WideArea&) = delete;
  WideArea& operator=(const WideArea&) = delete;

  static std::string address(std::size_t host) { return "10.77.0." + std::to_string(host); }
  int fd(std::size_t host) const { return namespaces_.at(host - 1); }
  bool control(const std::string& command) const {
    const std::string line =
        std::string(E2E_WANEM) + " ctl --name " + name_ + " " + command + " >/dev/null";
    return std::system(line.c_str()) == 0;  // NOLINT(concurrency-mt-unsafe): one thread
  }

 private:
  std::string name_;
  std::unique_ptr<Process> emulator_;
  std::vector<int> namespaces_;
};

}  // namespace e2e
