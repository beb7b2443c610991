#include "node/state_transfer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace pccl::node {

namespace {

using shared_state::Answer;
using shared_state::Request;
using shared_state::What;

Answer answer_of(const wire::BulkHeader& frame) {
  return {frame.kind == wire::BulkKind::digests ? What::digests : What::block, frame.position,
          frame.length};
}

// The engine names who fetches by peer; two connections of one peer are two receivers.
PeerId name_of(ReceiverId id) {
  return {1, id};
}

}  // namespace

// A lane to a holder: requests out, answers in.
class StateTransfer::Source final : public net::LaneClient {
 public:
  Source(shared_state::Fetch& fetch, const PeerId& holder, const Instant& now)
      : fetch_(fetch), holder_(holder), now_(now) {}

  std::optional<wire::BulkHeader> next_frame() override {
    const auto request = fetch_.next_request(holder_, now_);
    if (!request) return std::nullopt;
    if (request->what == What::digests)
      return wire::BulkHeader{wire::BulkKind::digests_wanted, {}, request->index, request->count};
    return wire::BulkHeader{wire::BulkKind::block_wanted, {}, request->index, 0};
  }
  std::span<const std::byte> payload(const wire::BulkHeader&, std::size_t) override { return {}; }
  void frame_sent(const wire::BulkHeader&) override {}

  bool frame_begins(const wire::BulkHeader& frame, std::string& why) override {
    if (frame.kind == wire::BulkKind::block || frame.kind == wire::BulkKind::digests)
      return fetch_.answer_begins(holder_, answer_of(frame), why);
    why = "protocol error: a holder of the shared state sends blocks and digests";
    return false;
  }
  std::span<std::byte> destination(const wire::BulkHeader& frame, std::size_t offset) override {
    return fetch_.destination(holder_, answer_of(frame), offset);
  }
  void frame_arrived(const wire::BulkHeader& frame) override {
    fetch_.answer_arrived(holder_, answer_of(frame), now_);
  }

 private:
  shared_state::Fetch& fetch_;
  PeerId holder_;
  const Instant& now_;
};

// A lane to somebody who fetches: answers out, requests in.
class StateTransfer::Receiver final : public net::LaneClient {
 public:
  Receiver(std::optional<shared_state::Holder>& holder, ReceiverId id)
      : holder_(holder), name_(name_of(id)) {}

  std::optional<wire::BulkHeader> next_frame() override {
    if (!holder_) return std::nullopt;
    const auto answer = holder_->next_answer(name_);
    if (!answer) return std::nullopt;
    return wire::BulkHeader{
        answer->what == What::digests ? wire::BulkKind::digests : wire::BulkKind::block,
        {},
        answer->index,
        answer->length};
  }
  std::span<const std::byte> payload(const wire::BulkHeader& frame, std::size_t offset) override {
    return holder_->payload(answer_of(frame), offset);
  }
  void frame_sent(const wire::BulkHeader& frame) override {
    holder_->answer_sent(name_, answer_of(frame));
  }

  bool frame_begins(const wire::BulkHeader& frame, std::string& why) override {
    if (frame.kind != wire::BulkKind::block_wanted &&
        frame.kind != wire::BulkKind::digests_wanted) {
      why = "protocol error: who fetches the shared state asks for blocks and digests";
      return false;
    }
    if (!holder_) {
      why = "this peer does not hold the elected content yet";
      return false;
    }
    const bool digests = frame.kind == wire::BulkKind::digests_wanted;
    return holder_->request_arrived(
        name_, {digests ? What::digests : What::block, frame.position, digests ? frame.length : 1},
        why);
  }
  std::span<std::byte> destination(const wire::BulkHeader&, std::size_t) override { return {}; }
  void frame_arrived(const wire::BulkHeader&) override {}

 private:
  std::optional<shared_state::Holder>& holder_;
  PeerId name_;
};

StateTransfer::StateTransfer(std::shared_ptr<const PreparedState> state, std::function<void()> wake)
    : state_(std::move(state)), wake_(std::move(wake)) {}
StateTransfer::~StateTransfer() = default;

void StateTransfer::move(const membership::MoveState& move) {
  elected_ = move.elected.content;
  gpu_error_told_ = false;
  if (!move.fetch) {
    if (!holder_) serve(state_->digest.blocks);
    return;
  }
  // A master that was restarted has not heard of what came of it; and holders that had not heard of
  // the former election serve this one.
  if (std::exchange(election_, move.elected.token) != move.elected.token) {
    told_ = distrusts_ = false;
    given_up_.clear();
  }
  if (!fetch_)
    fetch_.emplace(state_->tensors, state_->map,
                   unknown_.empty() ? state_->digest.blocks : unknown_, move.elected.content,
                   wake_);
  std::map<PeerId, bool> named;
  for (const wire::StateHolder& holder : move.elected.holders)
    named[holder.peer] = given_up_[holder.peer];
  given_up_ = std::move(named);
  if (!fetch_->finished() && !all_given_up()) told_ = false;  // there is another to try
}

void StateTransfer::start_over() {
  if (fetch_) unknown_.assign(state_->map.blocks(), Digest{});
  sources_.clear();
  receivers_.clear();
  holder_.reset();
  fetch_.reset();
  given_up_.clear();
}

void StateTransfer::serve(std::span<const Digest> digests) {
  if (!holder_) holder_.emplace(state_->tensors, state_->map, digests, wake_);
}

net::LaneClient& StateTransfer::source(const PeerId& holder) {
  fetch_->add_source(holder);
  return *(sources_[holder] = std::make_unique<Source>(*fetch_, holder, now_));
}

net::LaneClient& StateTransfer::receiver(ReceiverId id) {
  return *(receivers_[id] = std::make_unique<Receiver>(holder_, id));
}

void StateTransfer::source_lost(const PeerId& holder, const std::string& why, bool for_good) {
  if (fetch_) fetch_->source_lost(holder);
  sources_.erase(holder);
  last_loss_ = fmt::format("holder {}: {}", short_name(holder), why);
  if (const auto named = given_up_.find(holder); named != given_up_.end())
    named->second = named->second || for_good;
}

void StateTransfer::receiver_lost(ReceiverId id) {
  if (holder_) holder_->receiver_lost(name_of(id));
  receivers_.erase(id);
}

std::vector<shared_state::LostSource> StateTransfer::sources_to_drop(Duration patience) {
  if (!fetch_) return {};
  std::vector<shared_state::LostSource> drop = fetch_->take_dropped();
  distrusts_ = distrusts_ || !drop.empty();
  for (shared_state::LostSource& stalled : fetch_->stalled(now_, patience))
    drop.push_back(std::move(stalled));
  return drop;
}

void StateTransfer::grant_fresh_deadlines(Instant now) {
  now_ = now;
  if (fetch_) fetch_->grant_fresh_deadlines(now_);
}

void StateTransfer::check_gpus() {
  if (fetch_) fetch_->check_gpus();
  if (holder_) holder_->check_gpus();
}

std::optional<Outcome> StateTransfer::take_outcome() {
  if (!gpu_error().empty()) {
    if (std::exchange(gpu_error_told_, true)) return std::nullopt;
    told_ = true;
    return Outcome{Status::internal, gpu_error()};
  }
  if (!fetch_ || told_) return std::nullopt;
  if (fetch_->finished()) {
    told_ = true;
    serve(fetch_->elected_digests());
    return Outcome{};
  }
  if (all_given_up()) {
    told_ = true;
    return Outcome{
        distrusts_ ? Status::invalid_usage : Status::peer_lost,
        "none of the holders of the elected shared state can be reached or trusted; " + last_loss_};
  }
  return std::nullopt;
}

void StateTransfer::wait_for_gpus() {
  if (fetch_) fetch_->wait_for_gpus();
}

const std::string& StateTransfer::gpu_error() const {
  static const std::string none;
  if (fetch_ && !fetch_->gpu_error().empty()) return fetch_->gpu_error();
  return holder_ ? holder_->gpu_error() : none;
}

bool StateTransfer::all_given_up() const {
  return std::all_of(given_up_.begin(), given_up_.end(),
                     [](const auto& named) { return named.second; });
}

bool StateTransfer::half_way() const {
  return fetch_ ? fetch_->half_way() || (!unknown_.empty() && !fetch_->finished())
                : !unknown_.empty();
}

std::vector<std::string> StateTransfer::incomplete_entries() const {
  std::vector<std::string> names;
  if (!fetch_) return names;
  for (const std::uint32_t tensor : fetch_->incomplete_tensors())
    names.push_back(state_->entries[state_->entry_of[tensor]].name);
  return names;
}

}  // namespace pccl::node
