#include "shared_state/device_copies.hpp"

#include <fmt/format.h>

#include <cstring>

namespace pccl::shared_state {

DeviceCopies::Ticket DeviceCopies::gather(StateView state, const BlockMap& map, std::uint32_t block,
                                          std::span<std::byte> into) {
  std::set<device::Queue*> used;
  map.for_each_piece(block, [&](const Piece& piece) {
    const auto bytes = bytes_of(state, piece);
    if (const auto& gpu = state[piece.tensor].gpu; gpu == nullptr)
      std::memcpy(into.data(), bytes.data(), bytes.size());
    else if (device::Queue* const queue = queue_of(gpu))
      (*used.insert(queue).first)->copy(into.data(), bytes.data(), bytes.size());
    into = into.subspan(piece.length);
  });
  return ticket_of(used);
}

DeviceCopies::Ticket DeviceCopies::scatter(StateView state, const BlockMap& map,
                                           std::uint32_t block, std::span<const std::byte> bytes) {
  std::set<device::Queue*> used;
  map.for_each_piece(block, [&](const Piece& piece) {
    const auto into = bytes_of(state, piece);
    if (const auto& gpu = state[piece.tensor].gpu; gpu == nullptr)
      std::memcpy(into.data(), bytes.data(), into.size());
    else if (device::Queue* const queue = queue_of(gpu))
      (*used.insert(queue).first)->copy(into.data(), bytes.data(), into.size());
    bytes = bytes.subspan(piece.length);
  });
  return ticket_of(used);
}

device::Queue* DeviceCopies::queue_of(const std::shared_ptr<device::Gpu>& gpu) {
  auto& queue = queues_[gpu->ordinal()];
  if (queue == nullptr && error_.empty()) try {
      queue = gpu->queue();
    } catch (const device::Error& error) {
      error_ = error.what();
    }
  return queue.get();
}

// An error that the queues know by now is noted before the ticket can be seen to have ended.
DeviceCopies::Ticket DeviceCopies::ticket_of(const std::set<device::Queue*>& used) {
  Ticket ticket;
  *ticket.left_ = used.size();
  for (device::Queue* const queue : used)
    queue->then([left = ticket.left_, wake = wake_] {
      if (--*left == 0 && wake) wake();
    });
  for (const auto& [gpu, queue] : queues_)
    if (queue != nullptr) note_error(gpu, *queue);
  return ticket;
}

void DeviceCopies::note_error(int gpu, const device::Queue& queue) {
  if (error_.empty() && queue.error() != 0)
    error_ = fmt::format("GPU {}: copying the shared state: {}", gpu, queue.why());
}

void DeviceCopies::check() {
  for (const auto& [gpu, queue] : queues_) {
    if (queue == nullptr) continue;
    queue->check();
    note_error(gpu, *queue);
  }
}

void DeviceCopies::wait() {
  for (const auto& [gpu, queue] : queues_) {
    if (queue == nullptr) continue;
    queue->wait();
    note_error(gpu, *queue);
  }
}

}  // namespace pccl::shared_state
