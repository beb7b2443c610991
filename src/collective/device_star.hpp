// A small op in memory of a GPU that travels through the master: its input comes to the host before
// the op begins, its result goes back afterwards, and nobody waits meanwhile.
#pragma once

#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "base/limits.hpp"
#include "collective/block_pool.hpp"
#include "collective/ring_op.hpp"

namespace pccl::collective {

class DeviceStar {
 public:
  static_assert(limits::star_bytes <= limits::segment_bytes);

  // `operand` has a workspace and `bytes`, no more than limits::star_bytes. `news` is called on any
  // thread when go_on() has something to do, or the answer to the questions changes.
  DeviceStar(const Operand& operand, std::size_t bytes, BlockPool& pinned,
             std::function<void()> news)
      : operand_(operand), bytes_(bytes), block_(pinned.take()), news_(std::move(news)) {
    operand_.workspace->gate->tell_when_open(news_);
    go_on();
  }
  ~DeviceStar() { wait(); }
  DeviceStar(const DeviceStar&) = delete;
  DeviceStar& operator=(const DeviceStar&) = delete;

  // The input is fetched once the application's work has ended.
  void go_on() {
    if (begun_ || !operand_.workspace->gate->is_open()) return;
    begun_ = true;
    queue().copy(block_.data(), operand_.send, bytes_);
    then(Stage::here);
  }
  // Of a queue in which something has gone wrong everything counts as ended: nothing is here then.
  bool input_is_here() const { return *stage_ >= Stage::here && queue().error() == 0; }
  std::span<const std::byte> input() const { return {block_.data(), bytes_}; }
  // Once the input is here: as many bytes.
  void write(std::span<const std::byte> result) {
    std::copy(result.begin(), result.end(), block_.data());
    queue().copy(operand_.receive, block_.data(), bytes_);
    then(Stage::written);
  }
  bool is_written() const { return *stage_ == Stage::written && queue().error() == 0; }

  std::string failure() const { return operand_.workspace->check(); }
  void wait() const {  // any thread, when the op has ended
    if (begun_) operand_.workspace->wait();
  }

 private:
  enum class Stage : std::uint8_t { on_gpu, here, written };

  device::Queue& queue() const { return *operand_.workspace->queues.front(); }
  void then(Stage stage) {
    queue().then([at = stage_, news = news_, stage] {
      *at = stage;
      news();
    });
  }

  Operand operand_;
  std::size_t bytes_;
  BlockPool::Block block_;
  std::function<void()> news_;
  bool begun_ = false;
  std::shared_ptr<std::atomic<Stage>> stage_ = std::make_shared<std::atomic<Stage>>(Stage::on_gpu);
};

}  // namespace pccl::collective
