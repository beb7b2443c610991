// Child processes that cannot outlive their parent: the kernel kills them with it, and `Children`
// kills and reaps what is left when it goes out of scope.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>
#include <vector>

namespace bench {

// Ends the whole program with status 124 and a line on stderr once `limit` has passed.
void die_after(std::chrono::seconds limit);

// To be called first in a child: SIGKILL when `parent` dies, also if that has happened already.
void die_with(pid_t parent);

struct Exit {
  pid_t pid;
  int status;  // as of waitpid
};

std::string describe(const Exit& exit);

class Children {
 public:
  Children() = default;
  ~Children();
  Children(const Children&) = delete;
  Children& operator=(const Children&) = delete;

  // Runs this very program with `arguments`; of our file descriptors it keeps 0, 1, 2 and `keep`.
  pid_t start_self(const std::vector<std::string>& arguments, const std::vector<int>& keep = {});
  // fork: 0 in the child, which owns none of these children.
  pid_t fork_here();

  void kill(pid_t pid, int signal);
  void kill_and_reap(pid_t pid);
  std::optional<Exit> reap_any();  // a child that has ended, without waiting
  // True when all have ended with status 0 before `limit`; the others are named on stderr.
  bool all_succeed_within(std::chrono::milliseconds limit);
  const std::vector<pid_t>& running() const { return running_; }

 private:
  std::vector<pid_t> running_;
};

}  // namespace bench
