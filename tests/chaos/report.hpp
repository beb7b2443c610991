// What a peer tells the orchestrator: a line per thing that happened, as e2e::Line reads it, in one
// write: a kill -9 loses a line or nothing.
//
//   at connected seat=1 t=...                     it has a seat in the run
//   at launch n= step= op=                        before the call
//   at reduced n= step= op= mask= digest= world=  success
//   at failed n=  | last error                    in-place buffers are the input again
//   at synced step= digest= world= rx=            it holds the state of this step
//   at alone                                      asked whether anybody is pending; nobody was
//   at removed  | last error                      gives up its seat and takes a new one
//   at wrong  | what                              a broken promise that it sees by itself
//   at left                                       destroyed its communicator, as told
#pragma once

#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <sstream>
#include <string>

#include "e2e/clock.hpp"

namespace chaos {

class Report {
 public:
  Report(const char* what, std::uint64_t seat) {
    line_ << "at " << what << " seat=" << seat << " t=" << e2e::now_ns();
  }
  template <typename Value>
  Report& add(const char* key, const Value& value) {
    line_ << ' ' << key << '=' << value;
    return *this;
  }
  void send(std::string text = "") {
    constexpr std::size_t longest = 2000;  // well below PIPE_BUF, up to which a write is one piece
    std::replace(text.begin(), text.end(), '\n', ' ');
    const std::string line = line_.str() + " | " + text.substr(0, longest) + "\n";
    [[maybe_unused]] const ssize_t written = ::write(STDOUT_FILENO, line.data(), line.size());
  }

 private:
  std::ostringstream line_;
};

}  // namespace chaos
