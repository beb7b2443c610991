// A socket's file descriptor: closed on exec, and closed in the child of a fork, so that a process
// forked by a peer (PyTorch's data loaders are) cannot keep the sockets of a dead peer open.
#pragma once

#include <utility>

namespace pccl::net {

class FileDescriptor {
 public:
  FileDescriptor() = default;
  explicit FileDescriptor(int fd);  // takes ownership; -1: none
  FileDescriptor(FileDescriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept;
  ~FileDescriptor() { close(); }

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  void close();

 private:
  int fd_ = -1;
};

}  // namespace pccl::net
