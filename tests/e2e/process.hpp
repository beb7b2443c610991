// A child process that answers line by line. It never outlives the test: killed when its owner
// goes, by the kernel when the test itself dies. Every wait has a deadline and ends in an exception
// that carries what the process has said so far.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace e2e {

using Clock = std::chrono::steady_clock;  // CLOCK_MONOTONIC: the same in all processes

#ifdef PCCL_TEST_TIMEOUT_SCALE
inline constexpr int slack = PCCL_TEST_TIMEOUT_SCALE;  // how much slower a sanitized build may be
#else
inline constexpr int slack = 1;
#endif

// Longer than anything that works can take here.
inline constexpr auto patience = std::chrono::seconds(30) * slack;

// done NAME RESULT key=value... | text, or event NAME key=value... | text
struct Line {
  std::string verb, name, result, text, whole;
  std::map<std::string, std::string> values;

  explicit Line(const std::string& line);
  std::uint64_t number(const std::string& key) const;
  double seconds(const std::string& key) const {  // of what is counted in nanoseconds
    return static_cast<double>(number(key)) * 1e-9;
  }
  bool ok() const { return result == "pcclSuccess"; }
};

class Process {
 public:
  struct Options {
    std::map<std::string, std::string> environment;  // added to the test's own
    int network_namespace = -1;                      // where it runs; -1: where the test does
  };
  Process(std::string name, const std::vector<std::string>& arguments, const Options& options);
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  const std::string& name() const { return name_; }
  pid_t pid() const { return pid_; }

  void say(const std::string& line);
  // The next line that `wanted` accepts; the others stay for later.
  Line wait_for(const std::string& what, const std::function<bool(const Line&)>& wanted,
                Clock::duration within = patience);
  // The next line of such a kind that has come already.
  bool has(const std::function<bool(const Line&)>& wanted);
  std::optional<Line> next();  // the oldest line, if any has come

  void signal(int number) const;
  // Closes its stdin and waits for it to end; -signal or the exit code.
  int end(Clock::duration within = patience);
  int wait_for_end(Clock::duration within = patience);
  bool has_ended() { return reap(false); }
  void kill();  // -9, and waits for it
  bool alive() const { return pid_ > 0; }

  // Said, answered, and its stderr: the end of each.
  static constexpr std::size_t transcript_bytes = 6000;
  std::string transcript(std::size_t most = transcript_bytes) const;

 private:
  void read_some();
  bool reap(bool block);
  [[noreturn]] void give_up(const std::string& what, const std::string& why);

  std::string name_;
  pid_t pid_ = -1;
  int stdin_ = -1, stdout_ = -1, stderr_ = -1;
  int status_ = 0;
  bool output_ended_ = false;
  std::string partial_;
  std::deque<Line> lines_;
  std::string said_;
};

}  // namespace e2e
