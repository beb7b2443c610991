#include "e2e/process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <sstream>
#include <stdexcept>
#include <system_error>
#include <utility>

namespace e2e {

namespace {

// Of what was said and answered; some processes talk for hours.
constexpr std::size_t remembered_bytes = 1 << 20;

std::string tail(const std::string& text, std::size_t most) {
  return text.size() <= most ? text : "...\n" + text.substr(text.size() - most);
}

void check(bool good, const char* what) {
  if (!good) throw std::system_error(errno, std::generic_category(), what);
}

}  // namespace

Line::Line(const std::string& line) : whole(line) {
  const std::size_t bar = line.find(" | ");
  if (bar != std::string::npos) text = line.substr(bar + 3);
  std::istringstream words(line.substr(0, bar));
  words >> verb >> name;
  std::string word;
  while (words >> word) {
    const std::size_t equals = word.find('=');
    if (equals == std::string::npos)
      result = word;
    else
      values[word.substr(0, equals)] = word.substr(equals + 1);
  }
}

std::uint64_t Line::number(const std::string& key) const {
  const auto found = values.find(key);
  if (found == values.end()) throw std::runtime_error("no " + key + " in: " + whole);
  return std::stoull(found->second);
}

Process::Process(std::string name, const std::vector<std::string>& arguments,
                 const Options& options)
    : name_(std::move(name)) {
  std::array<int, 2> in{}, out{};
  check(::pipe2(in.data(), O_CLOEXEC) == 0, "pipe");
  check(::pipe2(out.data(), O_CLOEXEC) == 0, "pipe");
  stderr_ = ::memfd_create(name_.c_str(), MFD_CLOEXEC);
  check(stderr_ >= 0, "memfd_create");
  std::vector<char*> argv;
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  pid_ = ::fork();
  check(pid_ >= 0, "fork");
  if (pid_ == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::dup2(in[0], STDIN_FILENO);
    ::dup2(out[1], STDOUT_FILENO);
    ::dup2(stderr_, STDERR_FILENO);
    // The thread sanitizer sleeps a second at every exit, for races that end too late to be seen.
    const char* const tsan = ::getenv("TSAN_OPTIONS");
    const std::string without_sleep =
        std::string(tsan == nullptr ? "" : tsan) + " atexit_sleep_ms=0";
    ::setenv("TSAN_OPTIONS", without_sleep.c_str(), 1);
    for (const auto& [key, value] : options.environment) ::setenv(key.c_str(), value.c_str(), 1);
    if (options.network_namespace >= 0 && ::setns(options.network_namespace, CLONE_NEWNET) != 0)
      ::_exit(126);
    ::execv(argv[0], argv.data());
    ::_exit(127);
  }
  ::close(in[0]);
  ::close(out[1]);
  stdin_ = in[1];
  stdout_ = out[0];
  ::fcntl(stdout_, F_SETFL, O_NONBLOCK);
}

Process::~Process() {
  kill();
  for (const int fd : {stdin_, stdout_, stderr_})
    if (fd >= 0) ::close(fd);
}

void Process::say(const std::string& line) {
  said_ += "> " + line + "\n";
  const std::string text = line + "\n";
  // Short lines into a pipe that is read all the time; a dead process is noticed by who waits.
  const auto handler = ::signal(SIGPIPE, SIG_IGN);
  [[maybe_unused]] const ssize_t written = ::write(stdin_, text.data(), text.size());
  ::signal(SIGPIPE, handler);
}

void Process::read_some() {
  std::array<char, 4096> buffer;
  ssize_t count = 0;
  while ((count = ::read(stdout_, buffer.data(), buffer.size())) > 0)
    partial_.append(buffer.data(), static_cast<std::size_t>(count));
  if (count == 0) output_ended_ = true;
  std::size_t newline = 0;
  while ((newline = partial_.find('\n')) != std::string::npos) {
    said_ += "< " + partial_.substr(0, newline) + "\n";
    lines_.emplace_back(partial_.substr(0, newline));
    partial_.erase(0, newline + 1);
  }
  if (said_.size() > 2 * remembered_bytes) said_.erase(0, said_.size() - remembered_bytes);
}

Line Process::wait_for(const std::string& what, const std::function<bool(const Line&)>& wanted,
                       Clock::duration within) {
  const auto deadline = Clock::now() + within;
  while (true) {
    read_some();
    const auto found = std::find_if(lines_.begin(), lines_.end(), wanted);
    if (found != lines_.end()) {
      Line line = *found;
      lines_.erase(found);
      return line;
    }
    if (output_ended_) give_up(what, "the process has ended, " + std::to_string(wait_for_end()));
    const auto rest = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
    if (rest.count() <= 0) give_up(what, "time is up");
    pollfd poll{stdout_, POLLIN, 0};
    ::poll(&poll, 1, static_cast<int>(rest.count()));
  }
}

bool Process::has(const std::function<bool(const Line&)>& wanted) {
  read_some();
  return std::any_of(lines_.begin(), lines_.end(), wanted);
}

std::optional<Line> Process::next() {
  if (lines_.empty()) read_some();
  if (lines_.empty()) return std::nullopt;
  Line line = std::move(lines_.front());
  lines_.pop_front();
  return line;
}

void Process::give_up(const std::string& what, const std::string& why) {
  throw std::runtime_error(name_ + ": waited for " + what + ": " + why + "\n" + transcript());
}

std::string Process::transcript(std::size_t most) const {
  std::string errors(static_cast<std::size_t>(::lseek(stderr_, 0, SEEK_CUR)), '\0');
  const ssize_t count = ::pread(stderr_, errors.data(), errors.size(), 0);
  errors.resize(count < 0 ? 0 : static_cast<std::size_t>(count));
  return "---- " + name_ + "\n" + tail(said_, most) + "---- stderr of " + name_ + "\n" +
         tail(errors, most);
}

void Process::signal(int number) const {
  if (pid_ > 0) ::kill(pid_, number);
}

bool Process::reap(bool block) {
  if (pid_ <= 0) return true;
  const pid_t got = ::waitpid(pid_, &status_, block ? 0 : WNOHANG);
  if (got != pid_) return false;
  pid_ = -1;
  return true;
}

void Process::kill() {
  if (pid_ <= 0) return;
  signal(SIGKILL);
  reap(true);
}

int Process::end(Clock::duration within) {
  ::close(std::exchange(stdin_, -1));
  return wait_for_end(within);
}

int Process::wait_for_end(Clock::duration within) {
  const auto deadline = Clock::now() + within;
  // Its stdout ends with it; where a child of its own holds that, the pid tells.
  while (!reap(false)) {
    if (Clock::now() > deadline) give_up("its end", "time is up");
    read_some();
    pollfd poll{stdout_, POLLIN, 0};
    ::poll(output_ended_ ? nullptr : &poll, output_ended_ ? 0 : 1, 5);
  }
  read_some();
  return WIFSIGNALED(status_) ? -WTERMSIG(status_) : WEXITSTATUS(status_);
}

}  // namespace e2e
