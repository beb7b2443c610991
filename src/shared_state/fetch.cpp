#include "shared_state/fetch.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

#include "base/status.hpp"
#include "shared_state/digest_state.hpp"

namespace pccl::shared_state {

namespace {

// Second copies that one source may owe at a time.
constexpr std::ptrdiff_t copies_at_a_time = 4;
// A source without work leaves a block to the other that owes it for as long as it would need
// itself to bring it twice, but not less than what a busy machine may make anybody wait; if it has
// not brought any yet, for the longer time.
constexpr int patience = 2;
constexpr Duration shortest_patience = std::chrono::milliseconds(50);
constexpr Duration first_patience = std::chrono::milliseconds(200);
// A list that has not come after this time is asked of another source without work, from its
// beginning; each is given twice as long as the one before, so that a slow one gets through in the
// end.
constexpr Duration list_patience = std::chrono::seconds(1);
constexpr unsigned doublings_at_most = 20;
// The list is small: even a slow source brings it in a few of the limits for silence.
constexpr int limits_for_list = 10;

// Shared scratch for packed blocks under way; less where the digests of a huge state take up the
// memory that a fetch may use. Where every block needs it, as much as a long path has under way.
std::size_t scratch_blocks(const BlockMap& map, bool gpus) {
  constexpr std::size_t usual = 16 << 20, beside_huge_lists = 4 << 20, with_gpus = 64 << 20;
  const bool huge = std::size_t{map.blocks()} * digest_bytes > (8 << 20);
  return (gpus ? with_gpus : huge ? beside_huge_lists : usual) / map.block_bytes();
}
// Blocks that are being copied to GPUs at a time: while these are, no more are asked for.
constexpr std::size_t landing_bytes = 16 << 20;
constexpr std::size_t fewest_landing = 4;

std::string describe(const Answer& answer) {
  return fmt::format("{} {} of {} bytes", answer.what == What::block ? "block" : "digests",
                     answer.index, answer.length);
}

}  // namespace

Fetch::Fetch(StateView state, const BlockMap& map, std::span<const Digest> own,
             const Digest& elected, std::function<void()> wake)
    : state_(state),
      map_(map),
      own_(own),
      list_(map, elected),
      gpu_(gpu_of(state)),
      scratch_(map.block_bytes(), scratch_blocks(map, gpu_ != nullptr), gpu_),
      finished_(content_digest(map, own) == elected),
      copies_(std::move(wake)) {}

// ---- sources

void Fetch::add_source(const PeerId& source) {
  source_lost(source);
  sources_.emplace(source, Source(map_.block_bytes()));
  if (map_.blocks() == 0 && !finished_)
    drop(source, "its state is made of other tensors than ours");
}

void Fetch::source_lost(const PeerId& source) {
  const auto found = sources_.find(source);
  if (found == sources_.end()) return;
  for (const Owed& owed : found->second.owed)
    if (owed.request.what == What::block) give_up(owed);
  if (list_source_ == source) list_source_.reset();
  sources_.erase(found);
}

void Fetch::drop(const PeerId& source, std::string why) {
  source_lost(source);
  dropped_.push_back({source, std::move(why)});
}

std::vector<LostSource> Fetch::take_dropped() {
  return std::exchange(dropped_, {});
}

Fetch::Source* Fetch::find(const PeerId& source) {
  const auto found = sources_.find(source);
  return found == sources_.end() ? nullptr : &found->second;
}

const Fetch::Source* Fetch::find(const PeerId& source) const {
  const auto found = sources_.find(source);
  return found == sources_.end() ? nullptr : &found->second;
}

std::vector<LostSource> Fetch::stalled(Instant now, Duration limit) {
  std::vector<LostSource> slow;
  for (auto& [id, source] : sources_) {
    if (source.owed.empty() || source.signs != source.signs_seen) {
      source.signs_seen = source.signs;
      source.silent_since = now;
    }
    if (now - source.silent_since > limit)
      slow.push_back({id, fmt::format("it owes {} answers and has sent nothing for {:.1f} s",
                                      source.owed.size(), seconds(now - source.silent_since))});
    else if (list_source_ == id && now - list_asked_at_ > limits_for_list * limit)
      slow.push_back({id, fmt::format("its list of digests has not come within {:.1f} s",
                                      seconds(now - list_asked_at_))});
  }
  return slow;
}

void Fetch::grant_fresh_deadlines(Instant now) {
  for (auto& [id, source] : sources_) source.silent_since = now;
  list_asked_at_ = now;
}

// ---- asking

bool Fetch::may_ask_list(const PeerId& source, Instant now) const {
  if (!list_source_) return true;
  if (list_source_ == source) return list_.has_request();
  return sources_.at(source).owed.empty() &&
         now - list_asked_at_ > list_patience * (1 << std::min(list_round_ - 1, doublings_at_most));
}

bool Fetch::has_request(const PeerId& source, Instant now) const {
  const Source* const asked = find(source);
  if (asked == nullptr || finished_) return false;
  return blocks_ ? choose(*asked, now).has_value() : may_ask_list(source, now);
}

std::optional<Request> Fetch::next_request(const PeerId& source, Instant now) {
  Source* const asked = find(source);
  if (asked == nullptr || finished_) return std::nullopt;
  Owed owed;
  owed.asked_at = now;
  if (!blocks_) {
    if (!may_ask_list(source, now)) return std::nullopt;
    if (list_source_ != source) {
      ++list_round_;
      list_source_ = source;
      list_asked_at_ = now;
      list_.start();
    }
    owed.list_round = list_round_;
    owed.request = list_.next_request();
    owed.length = owed.request.count * digest_bytes;
  } else {
    const auto choice = choose(*asked, now);
    if (!choice) return std::nullopt;
    owed.request = {What::block, choice->block, 1};
    owed.length = map_.length(choice->block);
    owed.copy = choice->copy;
    if (choice->needs_scratch) owed.scratch = scratch_.promise();
    blocks_->asked(choice->block);
  }
  if (asked->owed.empty()) ++asked->signs;  // it owed nothing: its time begins
  asked->owed.push_back(std::move(owed));
  return asked->owed.back().request;
}

std::optional<Fetch::Choice> Fetch::choose(const Source& source, Instant now) const {
  if (source.owed.size() >= source.window.blocks()) return std::nullopt;
  const auto block = blocks_->first_unasked();
  if (!block) return choose_copy(source, now);
  const bool scratch = needs_scratch(*block);
  if (scratch && !scratch_available(source)) return std::nullopt;
  return Choice{*block, false, scratch};
}

// Of what others owe for long enough: the last that was asked for, as they still bring the first
// ones themselves; and what is already on its way only if there is nothing else.
std::optional<Fetch::Choice> Fetch::choose_copy(const Source& source, Instant now) const {
  if (!scratch_available(source) ||
      std::ranges::count(source.owed, true, &Owed::copy) >= copies_at_a_time)
    return std::nullopt;
  const Duration wait = source.typical_wait
                            ? std::max(shortest_patience, patience * *source.typical_wait)
                            : first_patience;
  const Owed* best = nullptr;
  for (const auto& [id, other] : sources_) {
    if (&other == &source) continue;
    for (const Owed& owed : other.owed) {
      if (owed.request.what != What::block || now - owed.asked_at < wait) continue;
      const std::uint32_t block = owed.request.index;
      if (blocks_->verified(block) || blocks_->askers(block) >= WantedBlocks::askers_at_most)
        continue;
      if (best == nullptr || (best->begun && !owed.begun) ||
          (best->begun == owed.begun && best->asked_at <= owed.asked_at))
        best = &owed;
    }
  }
  if (best == nullptr) return std::nullopt;
  return Choice{best->request.index, true, true};
}

bool Fetch::needs_scratch(std::uint32_t block) const {
  const auto piece = map_.only_piece(block);
  return !piece || state_[piece->tensor].gpu != nullptr;
}

bool Fetch::scratch_available(const Source& source) const {
  if (landing_.size() >= std::max(fewest_landing, landing_bytes / map_.block_bytes())) return false;
  const auto held = std::ranges::count_if(
      source.owed, [](const Owed& owed) { return static_cast<bool>(owed.scratch); });
  return scratch_.available(static_cast<std::size_t>(held), sources_.size());
}

// ---- receiving

Fetch::Owed* Fetch::find_owed(Source& source, const Answer& answer) {
  const auto found = std::ranges::find_if(source.owed, [&](const Owed& owed) {
    return owed.request.what == answer.what && owed.request.index == answer.index;
  });
  return found == source.owed.end() ? nullptr : &*found;
}

bool Fetch::answer_begins(const PeerId& source, const Answer& answer, std::string& why) {
  Source* const from = find(source);
  if (from == nullptr) {
    why = "protocol error: an answer from a holder that is not asked any more";
    return false;
  }
  Owed* const owed = find_owed(*from, answer);
  if (owed == nullptr || owed->begun) {
    why = fmt::format("protocol error: {} unasked for", describe(answer));
    return false;
  }
  if (answer.length != owed->length) {
    why = fmt::format("protocol error: {}, not {}", describe(answer), owed->length);
    return false;
  }
  owed->begun = true;
  ++from->signs;
  if (answer.what == What::block) find_place(*from, *owed);
  return true;
}

// Of two copies that are on their way at once, one goes into the user's memory.
void Fetch::find_place(Source& source, Owed& owed) {
  const std::uint32_t block = owed.request.index;
  if (blocks_->verified(block)) return;
  if (!needs_scratch(block) && !blocks_->being_written(block)) {
    blocks_->writer_begins(block);
    owed.place = Place::user_memory;
    owed.scratch.give_back();
    return;
  }
  if (!owed.scratch && scratch_available(source)) owed.scratch = scratch_.promise();
  if (owed.scratch) owed.place = Place::scratch;
}

std::span<std::byte> Fetch::place_of(Owed& owed) {
  if (owed.request.what == What::digests)
    return owed.list_round == list_round_ && !blocks_ ? list_.place(owed.request)
                                                      : std::span<std::byte>{};
  const std::uint32_t block = owed.request.index;
  if (owed.place == Place::nowhere || blocks_->verified(block)) return {};
  if (owed.place == Place::scratch) return owed.scratch.bytes().first(owed.length);
  blocks_->touched(block);
  return bytes_of(state_, *map_.only_piece(block));
}

std::span<std::byte> Fetch::destination(const PeerId& source, const Answer& answer,
                                        std::size_t offset) {
  Source* const from = find(source);
  Owed* const owed = from == nullptr ? nullptr : find_owed(*from, answer);
  if (owed == nullptr || !owed->begun || offset >= owed->length) return {};
  if (offset > owed->reached) {
    owed->reached = offset;
    ++from->signs;
  }
  const auto place = place_of(*owed);
  return place.empty() ? place : place.subspan(offset);
}

void Fetch::answer_arrived(const PeerId& source, const Answer& answer, Instant now) {
  Source* const from = find(source);
  Owed* const found = from == nullptr ? nullptr : find_owed(*from, answer);
  if (found == nullptr || !found->begun) return;  // it was dropped in the meantime
  Owed owed = std::move(*found);
  from->owed.erase(from->owed.begin() + (found - from->owed.data()));
  ++from->signs;
  if (answer.what == What::digests) return list_arrived(source, owed);
  const Duration wait = now - owed.asked_at;
  from->typical_wait = from->typical_wait ? (*from->typical_wait * 7 + wait) / 8 : wait;
  from->window.block_arrived(owed.length, now);
  block_arrived(source, std::move(owed));
}

void Fetch::list_arrived(const PeerId& source, const Owed& owed) {
  if (owed.list_round != list_round_ || blocks_) return;  // another source was faster
  switch (list_.arrived(owed.request)) {
    case DigestList::State::incomplete:
      return;
    case DigestList::State::wrong:
      return drop(source, "its list of digests is not that of the elected content");
    case DigestList::State::right:
      list_source_.reset();
      blocks_.emplace(map_, own_, list_.digests());
      finished_ = blocks_->all_verified();
  }
}

void Fetch::block_arrived(const PeerId& source, Owed owed) {
  const std::uint32_t block = owed.request.index;
  bytes_received_ += owed.length;
  if (blocks_->verified(block)) {
    ++duplicates_;
    return give_up(owed);
  }
  const auto place = place_of(owed);
  const bool right = !place.empty() && kernels::digest(place) == list_.digests()[block];
  if (right) {
    blocks_->verify(block);
    if (owed.place == Place::scratch) put_in_place(owed);
  }
  give_up(owed);
  if (!right && !place.empty())
    drop(source, fmt::format("it sent a block {} that is not the elected one", block));
  finished_ = blocks_->all_verified() && landing_.empty();
}

void Fetch::put_in_place(Owed& owed) {
  const std::uint32_t block = owed.request.index;
  const std::span<const std::byte> bytes = owed.scratch.bytes().first(owed.length);
  if (gpu_ == nullptr) return scatter(state_, map_, block, bytes);
  const auto copied = copies_.scatter(state_, map_, block, bytes);
  if (!copied.ended() || !gpu_error().empty())
    landing_.push_back({block, std::move(owed.scratch), copied});
}

void Fetch::give_up(const Owed& owed) {
  const std::uint32_t block = owed.request.index;
  if (owed.place == Place::user_memory) blocks_->writer_ends(block);
  blocks_->given_up(block);
}

// ---- GPUs

void Fetch::check_gpus() {
  copies_.check();
  if (landing_.empty() || !gpu_error().empty()) return;
  std::erase_if(landing_, [](const Landing& landing) { return landing.copied.ended(); });
  finished_ = blocks_->all_verified() && landing_.empty();
}

void Fetch::wait_for_gpus() {
  copies_.wait();
  check_gpus();
}

// ---- what has come of it

FetchProgress Fetch::progress() const {
  FetchProgress progress{.bytes_received = bytes_received_, .duplicates = duplicates_};
  if (blocks_) {
    progress.bytes_wanted = blocks_->bytes_wanted();
    progress.bytes_verified = blocks_->bytes_verified();
  }
  return progress;
}

std::vector<std::uint32_t> Fetch::incomplete_tensors() const {
  if (!blocks_) return {};
  const std::vector<std::uint32_t> lacking = blocks_->incomplete_tensors();
  std::set<std::uint32_t> incomplete(lacking.begin(), lacking.end());
  if (!gpu_error().empty())
    for (const Landing& landing : landing_)
      map_.for_each_piece(landing.block, [&](const Piece& piece) {
        if (state_[piece.tensor].gpu != nullptr) incomplete.insert(piece.tensor);
      });
  return {incomplete.begin(), incomplete.end()};
}

}  // namespace pccl::shared_state
