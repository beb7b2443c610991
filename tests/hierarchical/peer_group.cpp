#include "hierarchical/peer_group.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "kernels/host_kernels.hpp"

namespace pccl_test {

using pccl::Outcome;
using pccl::RedOp;
using pccl::node::ReduceInfo;
using pccl::node::ReduceRequest;

Outcome PeerGroup::launch(const ReduceRequest& request) {
  const std::lock_guard guard(mutex_);
  if (refuses.ok()) requests_.push_back(request);
  return refuses;
}

Outcome PeerGroup::await(std::uint64_t tag, ReduceInfo& info) {
  std::unique_lock lock(mutex_);
  const std::size_t round = round_;
  if (++waiting_ == hosts_) {
    reduce(tag);
    waiting_ = 0;
    ++round_;
    met_.notify_all();
  } else {
    met_.wait(lock, [&] { return round_ != round; });
  }
  if (outcome_.ok())
    info = {world_size == 0 ? static_cast<std::uint32_t>(hosts_) : world_size, 10, 20};
  return outcome_;
}

std::vector<ReduceRequest> PeerGroup::of(std::uint64_t tag) {
  const std::lock_guard guard(mutex_);
  return find(tag);
}

void PeerGroup::forget() {
  const std::lock_guard guard(mutex_);
  requests_.clear();
}

std::vector<ReduceRequest> PeerGroup::find(std::uint64_t tag) const {
  std::vector<ReduceRequest> found;
  for (const ReduceRequest& request : requests_)
    if (request.tag == tag) found.push_back(request);
  return found;
}

void PeerGroup::reduce(std::uint64_t tag) {
  const std::vector<ReduceRequest> all = find(tag);
  std::erase_if(requests_, [&](const ReduceRequest& request) { return request.tag == tag; });
  outcome_ = {};
  if (!fails.empty()) {
    outcome_ = fails.front();
    fails.erase(fails.begin());
  }
  const ReduceRequest& first = all.front();
  EXPECT_EQ(all.size(), hosts_);
  for (const ReduceRequest& request : all) {
    EXPECT_EQ(request.send, request.receive);
    EXPECT_EQ(request.count, first.count);
    EXPECT_NE(request.op, RedOp::avg);
    if (&request != &all.front())
      pccl::kernels::on_host::reduce(first.op, first.type, first.receive, first.receive,
                                     request.send, first.count);
  }
  const std::size_t bytes = first.count * size_of(first.type);  // of no bytes there is no address
  for (const ReduceRequest& request : all)
    if (!outcome_.ok())
      std::fill_n(static_cast<std::byte*>(request.receive), bytes, std::byte{0x77});
    else if (&request != &all.front())
      std::copy_n(static_cast<const std::byte*>(first.receive), bytes,
                  static_cast<std::byte*>(request.receive));
}

}  // namespace pccl_test
