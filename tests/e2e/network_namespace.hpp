// A network namespace of this machine, kept alive by a process that does nothing. Needs root, ip(8)
// and nsenter(1).
#pragma once

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

namespace e2e {

class Namespace {
 public:
  Namespace() {
    int born[2];
    if (::pipe2(born, O_CLOEXEC) != 0) return;
    keeper_ = ::fork();
    if (keeper_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      const bool made = ::unshare(CLONE_NEWNET) == 0;
      [[maybe_unused]] const auto told = ::write(born[1], made ? "y" : "n", 1);
      while (true) ::pause();
    }
    ::close(born[1]);
    char made = 'n';
    [[maybe_unused]] const auto heard = ::read(born[0], &made, 1);
    ::close(born[0]);
    if (made == 'y')
      fd_ = ::open(("/proc/" + std::to_string(keeper_) + "/ns/net").c_str(), O_RDONLY | O_CLOEXEC);
    if (fd_ >= 0) works_ = ip("link set lo up");
  }
  ~Namespace() {
    if (fd_ >= 0) ::close(fd_);
    if (keeper_ <= 0) return;
    ::kill(keeper_, SIGKILL);
    ::waitpid(keeper_, nullptr, 0);
  }
  Namespace(const Namespace&) = delete;
  Namespace& operator=(const Namespace&) = delete;

  bool works() const { return works_; }
  int fd() const { return fd_; }
  pid_t keeper() const { return keeper_; }
  bool ip(const std::string& arguments) const { return run("ip " + arguments); }
  bool run(const std::string& command) const {
    const std::string line = "nsenter --net=/proc/" + std::to_string(keeper_) + "/ns/net " +
                             command + " >/dev/null 2>&1";
    return std::system(line.c_str()) == 0;  // NOLINT(concurrency-mt-unsafe): one thread
  }

 private:
  pid_t keeper_ = -1;
  int fd_ = -1;
  bool works_ = false;
};

}  // namespace e2e
