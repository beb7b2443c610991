#include "common/results.hpp"

#include <sys/utsname.h>

#include <cstdio>
#include <ctime>
#include <fstream>
#include <thread>

namespace bench {

namespace {

std::string first_line_of(const std::string& command) {
  std::string line;
  if (FILE* const pipe = popen(command.c_str(), "r")) {
    char text[256];
    if (std::fgets(text, sizeof text, pipe) != nullptr) line = text;
    pclose(pipe);
  }
  while (!line.empty() && line.back() == '\n') line.pop_back();
  return line;
}

std::string cpu_model() {
  std::ifstream cpuinfo("/proc/cpuinfo");
  for (std::string line; std::getline(cpuinfo, line);) {
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  }
  return "unknown CPU";
}

std::string quoted(const std::string& text) {
  std::string result = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') result += '\\';
    if (c >= ' ') result += c;
  }
  return result + '"';
}

}  // namespace

std::string run_fields() {
  const std::string commit =
      first_line_of("git -C '" BENCHMARKS_DIR "' describe --always --dirty 2>/dev/null");
  char date[32] = "";
  const std::time_t now = std::time(nullptr);
  std::strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%SZ", std::gmtime(&now));
  utsname system{};
  uname(&system);
  const std::string machine = cpu_model() + ", " +
                              std::to_string(std::thread::hardware_concurrency()) +
                              " cores, Linux " + system.release;
  return "\"commit\":" + quoted(commit) + ",\"date\":" + quoted(date) +
         ",\"machine\":" + quoted(machine);
}

void record(const std::string& file, const std::string& fields) {
  if (file == "-" || file.empty()) return;
  std::ofstream out(file, std::ios::app);
  out << '{' << run_fields() << ',' << fields << "}\n";
  if (!out) std::fprintf(stderr, "benchmark: cannot write %s\n", file.c_str());
}

}  // namespace bench
