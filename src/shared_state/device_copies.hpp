// Copies of blocks that lie on GPUs, all of them or a part, to the host and back; carried out while
// who asks for them goes on. One thread at a time.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>

#include "device/gpu.hpp"
#include "shared_state/block_map.hpp"
#include "shared_state/state_view.hpp"

namespace pccl::shared_state {

class DeviceCopies {
 public:
  class Ticket {
   public:
    // The copy has been carried out, unless there is an error.
    bool ended() const { return *left_ == 0; }

   private:
    friend class DeviceCopies;
    std::shared_ptr<std::atomic<std::size_t>> left_ =  // streams that are not done with it
        std::make_shared<std::atomic<std::size_t>>(0);
  };

  // `wake` is called when a copy has ended, by any thread; may be null.
  explicit DeviceCopies(std::function<void()> wake = nullptr) : wake_(std::move(wake)) {}

  // A whole block, to memory of the host and back, which is not touched before the copy has ended.
  Ticket gather(StateView state, const BlockMap& map, std::uint32_t block,
                std::span<std::byte> into);
  Ticket scatter(StateView state, const BlockMap& map, std::uint32_t block,
                 std::span<const std::byte> bytes);

  // The first thing that has gone wrong, in words; empty: nothing. From then on copies may never
  // end. What goes wrong on a GPU is seen by check(), and by wait(), which blocks until all copies
  // have ended.
  const std::string& error() const { return error_; }
  void check();
  void wait();

 private:
  template <typename Visit>
  Ticket for_each_piece(StateView state, const BlockMap& map, std::uint32_t block, Visit visit);
  device::Queue* queue_of(device::Gpu& gpu);
  Ticket ticket_of(const std::set<device::Queue*>& used);
  void note_error(int gpu, const device::Queue& queue);

  std::function<void()> wake_;
  std::string error_;
  std::map<int, std::shared_ptr<device::Queue>> queues_;  // by the number of the GPU
};

}  // namespace pccl::shared_state
