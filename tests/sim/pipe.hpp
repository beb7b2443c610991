// One direction of a TCP connection: in order, delayed, never losing anything but by its end. A
// path that is cut holds everything back until it is healed, as retransmission does.
#pragma once

#include <algorithm>
#include <deque>
#include <functional>
#include <utility>

#include "sim/process.hpp"

namespace pccl::sim {

template <typename Item>
class Pipe {
 public:
  using Receive = std::function<void(Item&)>;
  using Passable = std::function<bool()>;

  Pipe(Timeline& timeline, Process& to, Passable passable, Receive receive)
      : timeline_(timeline),
        to_(to),
        passable_(std::move(passable)),
        receive_(std::move(receive)) {}

  void send(Item item, Duration delay) {
    last_arrival_ = std::max(last_arrival_, timeline_.now() + delay);
    items_.push_back({last_arrival_, std::move(item)});
    schedule();
  }
  void healed() { schedule(); }
  void lose_all() { items_.clear(); }

 private:
  void schedule() {
    if (scheduled_ || items_.empty()) return;
    scheduled_ = true;
    timeline_.at(items_.front().first, [this] {
      scheduled_ = false;
      if (items_.empty() || !passable_()) return;
      scheduled_ = true;  // also while it waits in the kernel of a frozen process
      to_.run([this] { deliver(); });
    });
  }
  void deliver() {
    scheduled_ = false;
    if (items_.empty()) return;
    Item item = std::move(items_.front().second);
    items_.pop_front();
    receive_(item);
    schedule();
  }

  Timeline& timeline_;
  Process& to_;
  Passable passable_;
  Receive receive_;
  std::deque<std::pair<Instant, Item>> items_;
  Instant last_arrival_{};
  bool scheduled_ = false;
};

}  // namespace pccl::sim
