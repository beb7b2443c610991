#include "shared_state/device_copies.hpp"

#include <fmt/format.h>

#include <cstring>

namespace pccl::shared_state {

namespace {

void copy(device::Queue* queue, std::byte* to, const std::byte* from, std::size_t bytes) {
  if (queue != nullptr)
    queue->copy(to, from, bytes);
  else
    std::memcpy(to, from, bytes);
}

}  // namespace

DeviceCopies::Ticket DeviceCopies::gather(StateView state, const BlockMap& map, std::uint32_t block,
                                          std::span<std::byte> into) {
  return for_each_piece(state, map, block,
                        [&](device::Queue* queue, std::span<std::byte> tensor, std::size_t at) {
                          copy(queue, into.data() + at, tensor.data(), tensor.size());
                        });
}

DeviceCopies::Ticket DeviceCopies::scatter(StateView state, const BlockMap& map,
                                           std::uint32_t block, std::span<const std::byte> bytes) {
  return for_each_piece(state, map, block,
                        [&](device::Queue* queue, std::span<std::byte> tensor, std::size_t at) {
                          copy(queue, tensor.data(), bytes.data() + at, tensor.size());
                        });
}

// Visits with a queue, or null for memory of the host; and where in the block the piece begins.
template <typename Visit>
DeviceCopies::Ticket DeviceCopies::for_each_piece(StateView state, const BlockMap& map,
                                                  std::uint32_t block, Visit visit) {
  std::set<device::Queue*> used;
  std::size_t at = 0;
  map.for_each_piece(block, [&](const Piece& piece) {
    const auto& gpu = state[piece.tensor].gpu;
    device::Queue* const queue = gpu != nullptr ? queue_of(*gpu) : nullptr;
    if (queue != nullptr) used.insert(queue);
    if (queue != nullptr || gpu == nullptr) visit(queue, bytes_of(state, piece), at);
    at += piece.length;
  });
  return ticket_of(used);
}

device::Queue* DeviceCopies::queue_of(device::Gpu& gpu) {
  auto& queue = queues_[gpu.ordinal()];
  if (queue != nullptr || !error_.empty()) return queue.get();
  try {
    queue = gpu.queue();
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
