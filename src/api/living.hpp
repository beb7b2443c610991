// The living handles of one kind. A handle is looked up before it is used, and who has found one
// keeps the object until done: so a destroyed handle gets an answer instead of a crash. A C API
// cannot do more: a new object may get the address of a destroyed one.
#pragma once

#include <memory>
#include <mutex>
#include <unordered_map>

namespace pccl::api {

template <typename Handle>
class Living {
 public:
  static Living& all() {
    // Never destroyed: a program may leave main with handles alive and threads inside.
    static auto* const instance = new Living;
    return *instance;
  }

  Handle* add(std::shared_ptr<Handle> object) {
    Handle* const handle = object.get();
    const std::scoped_lock lock(mutex_);
    living_.emplace(handle, std::move(object));
    return handle;
  }
  std::shared_ptr<Handle> find(const Handle* handle) {  // null for any other pointer
    const std::scoped_lock lock(mutex_);
    const auto found = living_.find(handle);
    return found == living_.end() ? nullptr : found->second;
  }
  std::shared_ptr<Handle> take_out(const Handle* handle) {
    const std::scoped_lock lock(mutex_);
    const auto node = living_.extract(handle);
    return node.empty() ? nullptr : node.mapped();
  }

 private:
  std::mutex mutex_;
  std::unordered_map<const Handle*, std::shared_ptr<Handle>> living_;
};

}  // namespace pccl::api
