#include "node/state_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <string_view>
#include <system_error>

#include "net/file_descriptor.hpp"

namespace pccl::node {

namespace {

constexpr std::size_t longest_file = std::size_t{1} << 20;

Outcome failed(std::string_view what, const std::string& path) {
  return {Status::invalid_usage, fmt::format("cannot {} the state file {}: {}", what, path,
                                             std::generic_category().message(errno))};
}

bool write_all(int file, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(file, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return false;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

}  // namespace

Outcome load(const std::string& path, std::optional<membership::Recollection>& recollection) {
  // Not for ever, if it is a pipe by mistake.
  const net::FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file) return errno == ENOENT ? Outcome{} : failed("open", path);
  std::string text;
  std::array<char, 4096> piece;
  for (;;) {
    const ssize_t got = ::read(file.get(), piece.data(), piece.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return failed("read", path);
    if (got == 0) break;
    text.append(piece.data(), static_cast<std::size_t>(got));
    if (text.size() > longest_file) break;
  }
  recollection = membership::recollection_of(text);
  if (recollection) return {};
  return {
      Status::invalid_usage,
      fmt::format("{} is not the state file of a master; remove it to start without one", path)};
}

Outcome save(const std::string& path, const membership::Recollection& recollection) {
  const std::string beside = path + ".new";
  const net::FileDescriptor file(
      ::open(beside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!file) return failed("create", beside);
  if (!write_all(file.get(), to_text(recollection))) return failed("write", beside);
  if (::rename(beside.c_str(), path.c_str()) != 0) return failed("replace", path);
  return {};
}

}  // namespace pccl::node
