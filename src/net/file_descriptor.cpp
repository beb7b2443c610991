#include "net/file_descriptor.hpp"

#include <pthread.h>
#include <unistd.h>

#include <mutex>
#include <unordered_set>

namespace pccl::net {

namespace {

// Every open descriptor of the library. Never destroyed: threads may outlive static destructors.
struct Registry {
  std::mutex mutex;
  std::unordered_set<int> open;

  Registry() {
    pthread_atfork([] { instance().mutex.lock(); }, [] { instance().mutex.unlock(); },
                   [] {
                     // Plain close: a shutdown would end the parent's connections.
                     for (const int fd : instance().open) ::close(fd);
                     instance().open.clear();
                     instance().mutex.unlock();
                   });
  }
  static Registry& instance() {
    static auto* const registry = new Registry;
    return *registry;
  }
};

}  // namespace

FileDescriptor::FileDescriptor(int fd) : fd_(fd) {
  if (fd_ < 0) return;
  Registry& registry = Registry::instance();
  const std::lock_guard guard(registry.mutex);
  registry.open.insert(fd_);
}

FileDescriptor& FileDescriptor::operator=(FileDescriptor&& other) noexcept {
  if (this != &other) {
    close();
    fd_ = std::exchange(other.fd_, -1);
  }
  return *this;
}

void FileDescriptor::close() {
  if (fd_ < 0) return;
  Registry& registry = Registry::instance();
  const std::lock_guard guard(registry.mutex);
  if (registry.open.erase(fd_) > 0)
    ::close(fd_);  // else: closed in this child of a fork, the number may be reused
  fd_ = -1;
}

}  // namespace pccl::net
