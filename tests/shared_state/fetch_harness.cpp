#include "shared_state/fetch_harness.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

namespace pccl::shared_state::test {

namespace {
constexpr Duration tick_length = 1ms;
constexpr std::size_t lane_bytes = 100'000;  // that a lane takes before it is read
}  // namespace

FetchHarness::FetchHarness(std::uint64_t seed, Tensors elected, std::uint32_t block_bytes)
    : rng_(seed), block_bytes_(block_bytes), elected_(std::move(elected), block_bytes) {}

std::size_t FetchHarness::add_receiver(Tensors own) {
  Receiver& made = *receivers_.emplace_back(
      std::make_unique<Receiver>(std::move(own), block_bytes_, elected_.digest.content, place_));
  made.verified.resize(elected_.map.blocks());
  return receivers_.size() - 1;
}

std::size_t FetchHarness::add_receiver(double part_different) {
  Tensors own = elected_.tensors;
  for (std::uint32_t block = 0; block < elected_.map.blocks(); ++block) {
    if (!rng_.chance(part_different)) continue;
    const auto at = static_cast<std::uint32_t>(rng_.below(elected_.map.length(block)));
    elected_.map.for_each_piece(block, at, 1, [&](const Piece& piece) {
      own[piece.tensor][piece.offset] ^= static_cast<std::byte>(1 + rng_.below(255));
    });
  }
  return add_receiver(std::move(own));
}

std::size_t FetchHarness::add_holder() {
  held_.push_back(std::make_unique<Views>(place_(elected_.views)));
  holders_.push_back(std::make_unique<Holder>(*held_.back(), elected_.map, elected_.digest.blocks));
  return holders_.size() - 1;
}

void FetchHarness::use_gpus(pccl_test::FakeRuntime& cuda, double part, std::uint64_t pieces) {
  cuda_ = &cuda;
  pieces_a_tick = pieces;
  place_ = [this, part](Views tensors) {
    return some_on_gpus(*cuda_, std::move(tensors), part, rng_);
  };
}

void FetchHarness::work_on_gpus() {
  if (cuda_ == nullptr) return;
  for (std::uint64_t piece = rng_.below(pieces_a_tick + 1); piece > 0; --piece) cuda_->step();
  for (const auto& holder : holders_) holder->check_gpus();
  for (const auto& receiver : receivers_) receiver->fetch.check_gpus();
}

void FetchHarness::link(std::size_t receiver, std::size_t holder, const LinkOptions& options) {
  Link& made = *links_.emplace_back(std::make_unique<Link>(Link{receiver, holder, options}));
  made.lanes.resize(options.lanes);
  fetch(receiver).add_source(holder_id(holder));
  settle(receiver);
}

void FetchHarness::cut(std::size_t receiver, std::size_t holder, const std::string& why) {
  for (const auto& link : links_)
    if (link->receiver == receiver && link->holder == holder) close(*link, why);
}

void FetchHarness::close(Link& link, const std::string& why) {
  if (std::exchange(link.is_cut, true)) return;
  link.lanes.clear();
  holders_[link.holder]->receiver_lost(receiver_id(link.receiver));
  fetch(link.receiver).source_lost(holder_id(link.holder));
  receivers_[link.receiver]->lost.push_back(why);
}

void FetchHarness::settle(std::size_t receiver) {
  for (const LostSource& dropped : fetch(receiver).take_dropped()) {
    EXPECT_FALSE(dropped.why.empty());
    cut(receiver, dropped.source.low - 1, dropped.why);
  }
}

// ---- requests

void FetchHarness::ask(Link& link) {
  Receiver& receiver = *receivers_[link.receiver];
  const PeerId source = holder_id(link.holder);
  while (receiver.fetch.has_request(source, now_)) {
    const auto request = receiver.fetch.next_request(source, now_);
    ASSERT_TRUE(request.has_value());
    if (request->what == What::block) {
      const std::uint32_t block = request->index;
      EXPECT_FALSE(receiver.verified[block]) << "block " << block << " is here already";
      EXPECT_NE(receiver.state.digest.blocks[block], elected_.digest.blocks[block])
          << "block " << block << " does not differ";
    }
    link.requests.emplace_back(now_ + link.options.delay, *request);
  }
  EXPECT_FALSE(receiver.fetch.next_request(source, now_).has_value());
}

void FetchHarness::hear(Link& link) {
  while (!link.requests.empty() && link.requests.front().first <= now_) {
    std::string why;
    EXPECT_TRUE(holders_[link.holder]->request_arrived(receiver_id(link.receiver),
                                                       link.requests.front().second, why))
        << why;
    link.requests.pop_front();
  }
}

// ---- answers

void FetchHarness::send(Link& link) {
  const double a_tick = link.options.bytes_per_second * seconds(tick_length);
  link.budget = std::min(link.budget + a_tick, 2 * a_tick + 100);
  bool moved = true;
  while (moved && link.budget > 0 && !link.is_cut) {
    moved = false;
    for (Lane& lane : link.lanes) {
      if (link.sent >= link.options.freezes_after) return;
      if (link.sent >= link.options.dies_after) return close(link, "it died");
      if (link.budget > 0) moved |= send_some(link, lane);
    }
  }
}

bool FetchHarness::send_some(Link& link, Lane& lane) {
  Holder& holder = *holders_[link.holder];
  if (!lane.sending) {
    lane.sending = holder.next_answer(receiver_id(link.receiver));
    if (!lane.sending) return false;
    lane.handed = 0;
    lane.false_bit = link.sent >= link.options.lies_after;
    lane.way.push_back({now_ + link.options.delay, *lane.sending, {}});
  }
  const std::size_t under_way = std::accumulate(
      lane.way.begin(), lane.way.end(), std::size_t{0},
      [](std::size_t sum, const Parcel& parcel) { return sum + parcel.bytes.size(); });
  if (under_way > lane_bytes) return false;
  const auto most = std::min({static_cast<std::size_t>(link.budget) + 1, largest_piece,
                              lane.sending->length - lane.handed});
  const auto payload = holder.payload(*lane.sending, lane.handed);
  EXPECT_FALSE(payload.empty());
  const auto some = payload.first(std::min<std::size_t>(payload.size(), 1 + rng_.below(most)));
  lane.way.push_back({now_ + link.options.delay, {}, {some.begin(), some.end()}});
  if (std::exchange(lane.false_bit, false)) lane.way.back().bytes.front() ^= std::byte{4};
  lane.handed += some.size();
  link.sent += some.size();
  link.budget -= static_cast<double>(some.size());
  if (lane.sending->what == What::block) link.block_bytes_sent += some.size();
  if (lane.handed == lane.sending->length)
    holder.answer_sent(receiver_id(link.receiver), *std::exchange(lane.sending, std::nullopt));
  return true;
}

void FetchHarness::receive(Link& link, Lane& lane) {
  while (!link.is_cut && receive_some(link, lane)) {
  }
}

bool FetchHarness::receive_some(Link& link, Lane& lane) {
  if (lane.way.empty() || lane.way.front().due > now_) return false;
  Receiver& receiver = *receivers_[link.receiver];
  const PeerId source = holder_id(link.holder);
  Parcel& parcel = lane.way.front();
  if (parcel.header) {
    lane.receiving = parcel.header;
    lane.received = 0;
    lane.way.pop_front();
    std::string why;
    EXPECT_TRUE(receiver.fetch.answer_begins(source, *lane.receiving, why)) << why;
    return true;
  }
  const Answer answer = *lane.receiving;
  const auto place = receiver.fetch.destination(source, answer, lane.received);
  EXPECT_TRUE(place.empty() || place.size() == answer.length - lane.received);
  const std::size_t some = 1 + rng_.below(parcel.bytes.size());
  if (!place.empty()) std::copy_n(parcel.bytes.begin(), some, place.begin());
  parcel.bytes.erase(parcel.bytes.begin(),
                     parcel.bytes.begin() + static_cast<std::ptrdiff_t>(some));
  if (parcel.bytes.empty()) lane.way.pop_front();
  lane.received += some;
  if (lane.received < answer.length) return true;
  lane.receiving.reset();
  const std::uint64_t verified = receiver.fetch.progress().bytes_verified;
  receiver.fetch.answer_arrived(source, answer, now_);
  if (receiver.fetch.progress().bytes_verified > verified) {
    EXPECT_FALSE(receiver.verified[answer.index]);
    receiver.verified[answer.index] = true;
    check_verified(receiver, answer.index);
  }
  settle(link.receiver);
  return true;
}

void FetchHarness::check_verified(Receiver& receiver, std::uint32_t block) {
  if (on_gpu(receiver.state.views, receiver.state.map, block)) return;  // on its way there
  kernels::Digester digester;
  EXPECT_EQ(digest_of_block(receiver.state.views, receiver.state.map, block, digester),
            elected_.digest.blocks[block])
      << "block " << block;
}

// ---- time

void FetchHarness::tick() {
  now_ += tick_length;
  for (std::size_t left = links_.size(); left > 1; --left)
    std::swap(links_[left - 1], links_[rng_.below(left)]);
  for (const auto& link : links_) {
    if (!link->is_cut) ask(*link);
    if (!link->is_cut) hear(*link);
    if (!link->is_cut) send(*link);
    for (std::size_t lane = 0; lane < link->lanes.size(); ++lane) receive(*link, link->lanes[lane]);
  }
  work_on_gpus();
  if (now_.time_since_epoch() % 100ms != 0ms) return;
  for (std::size_t receiver = 0; receiver < receivers_.size(); ++receiver)
    for (const LostSource& slow : fetch(receiver).stalled(now_, stall_limit))
      cut(receiver, slow.source.low - 1, slow.why);
}

bool FetchHarness::over() const {
  return std::ranges::all_of(receivers_, [](const auto& receiver) {
    return receiver->fetch.finished() || receiver->fetch.sources() == 0;
  });
}

void FetchHarness::run(Duration at_most) {
  const Instant end = now_ + at_most;
  while (now_ < end && !over() && !testing::Test::HasFailure()) tick();
}

// ---- what must hold

void FetchHarness::expect_elected(std::size_t index) {
  Receiver& receiver = *receivers_[index];
  EXPECT_TRUE(receiver.fetch.finished());
  EXPECT_TRUE(content_of(receiver.state.views) == elected_.tensors);
  EXPECT_TRUE(receiver.fetch.incomplete_tensors().empty());
  const FetchProgress progress = receiver.fetch.progress();
  EXPECT_EQ(progress.bytes_verified, progress.bytes_wanted);
  std::uint64_t wanted = 0;
  for (std::uint32_t block = 0; block < elected_.map.blocks(); ++block)
    if (receiver.state.digest.blocks[block] != elected_.digest.blocks[block])
      wanted += elected_.map.length(block);
  EXPECT_EQ(progress.bytes_wanted, wanted);
}

std::uint64_t FetchHarness::block_bytes_sent(std::size_t receiver) const {
  std::uint64_t bytes = 0;
  for (const auto& link : links_)
    if (link->receiver == receiver) bytes += link->block_bytes_sent;
  return bytes;
}

}  // namespace pccl::shared_state::test
