#include "common/child.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>

namespace bench {

namespace {

void on_alarm(int) {
  constexpr char text[] = "benchmark: the time limit has passed, giving up (--timeout)\n";
  [[maybe_unused]] const auto written = write(STDERR_FILENO, text, sizeof text - 1);
  _exit(124);
}

}  // namespace

void die_after(std::chrono::seconds limit) {
  signal(SIGALRM, on_alarm);
  alarm(static_cast<unsigned>(limit.count()));
}

void die_with(pid_t parent) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(125);
}

std::string describe(const Exit& exit) {
  const std::string who = "process " + std::to_string(exit.pid);
  if (WIFSIGNALED(exit.status)) return who + " died of " + strsignal(WTERMSIG(exit.status));
  return who + " ended with status " + std::to_string(WEXITSTATUS(exit.status));
}

Children::~Children() {
  for (const pid_t pid : running_) ::kill(pid, SIGKILL);
  for (const pid_t pid : running_) waitpid(pid, nullptr, 0);
}

pid_t Children::start_self(const std::vector<std::string>& arguments,
                           const std::vector<int>& keep) {
  std::vector<std::string> texts{program_invocation_name};
  texts.insert(texts.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& text : texts) argv.push_back(text.data());
  argv.push_back(nullptr);

  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid < 0) {
    std::perror("fork");
    std::exit(1);
  }
  if (pid == 0) {  // only async-signal-safe calls: the parent may run threads
    die_with(parent);
    for (const int fd : keep) fcntl(fd, F_SETFD, 0);
    execv("/proc/self/exe", argv.data());
    _exit(126);
  }
  running_.push_back(pid);
  return pid;
}

pid_t Children::fork_here() {
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid < 0) {
    std::perror("fork");
    std::exit(1);
  }
  if (pid == 0) {
    die_with(parent);
    running_.clear();
  } else {
    running_.push_back(pid);
  }
  return pid;
}

void Children::kill(pid_t pid, int signal) {
  ::kill(pid, signal);
}

void Children::kill_and_reap(pid_t pid) {
  ::kill(pid, SIGKILL);
  waitpid(pid, nullptr, 0);
  std::erase(running_, pid);
}

std::optional<Exit> Children::reap_any() {
  for (const pid_t pid : running_) {
    int status = 0;
    if (waitpid(pid, &status, WNOHANG) != pid) continue;
    std::erase(running_, pid);
    return Exit{pid, status};
  }
  return std::nullopt;
}

bool Children::all_succeed_within(std::chrono::milliseconds limit) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  bool good = true;
  while (!running_.empty()) {
    if (const auto ended = reap_any()) {
      if (ended->status == 0) continue;
      std::fprintf(stderr, "%s\n", describe(*ended).c_str());
      good = false;
    } else if (std::chrono::steady_clock::now() > deadline) {
      for (const pid_t pid : running_) std::fprintf(stderr, "process %d does not end\n", pid);
      return false;
    } else {
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
  }
  return good;
}

}  // namespace bench
