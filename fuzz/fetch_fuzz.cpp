// A fetch whose holders send anything, over several lanes each: its own memory and the tensors'
// ends are the sanitizers' to watch, and what is verified stays the elected content.
#include <array>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "input.hpp"
#include "shared_state/digest_state.hpp"
#include "shared_state/fetch.hpp"
#include "shared_state/holder.hpp"

namespace {

using namespace pccl;
using namespace pccl::shared_state;
using fuzz::Input;
using fuzz::require;

constexpr std::uint32_t block_bytes = 64;

struct Tensors {
  explicit Tensors(const std::vector<std::uint64_t>& sizes) {
    for (const std::uint64_t bytes : sizes) {
      memory.push_back(std::make_unique<std::byte[]>(bytes));  // of the exact size
      views.push_back({memory.back().get(), bytes});
    }
  }
  std::vector<std::unique_ptr<std::byte[]>> memory;
  std::vector<TensorView> views;
};

class FetchUnderFuzz {
 public:
  explicit FetchUnderFuzz(Input& input)
      : input_(input), sizes_(some_sizes()), elected_(sizes_), own_(sizes_) {
    std::string why;
    map_ = BlockMap::cut(sizes_, why, block_bytes).value();
    for (const TensorView& tensor : elected_.views)
      for (std::uint64_t at = 0; at < tensor.bytes; ++at)
        tensor.data[at] = static_cast<std::byte>(at * 11 + tensor.bytes);
    for (std::size_t tensor = 0; tensor < sizes_.size(); ++tensor)
      if (input_.below(4) == 0)
        std::memcpy(own_.views[tensor].data, elected_.views[tensor].data, sizes_[tensor]);
    elected_digest_ = digest_state(elected_.views, map_, 1);
    own_digest_ = digest_state(own_.views, map_, 1);
    fetch_.emplace(own_.views, map_, own_digest_.blocks, elected_digest_.content);
  }

  void run() {
    for (int events = 0; events < 3000 && !input_.empty(); ++events) one_event();
    const FetchProgress progress = fetch_->progress();
    require(progress.bytes_verified <= progress.bytes_wanted, "no more than wanted is verified");
    if (!fetch_->finished()) {
      fetch_->incomplete_tensors();
      return;
    }
    require(fetch_->incomplete_tensors().empty(), "what is finished is complete");
    for (std::size_t tensor = 0; tensor < sizes_.size(); ++tensor)
      require(
          std::memcmp(own_.views[tensor].data, elected_.views[tensor].data, sizes_[tensor]) == 0,
          "what is finished is the elected content");
  }

 private:
  struct Lane {
    std::optional<Answer> receiving;
    std::size_t received = 0;
    bool honest = false;  // its payload is the right one
  };
  struct Source {
    std::vector<Request> owed;  // as a holder would know it
    std::array<Lane, 2> lanes;
    bool known = false;
  };

  std::vector<std::uint64_t> some_sizes() {
    constexpr std::uint64_t choices[] = {0, 1, 7, 30, 63, 64, 65, 128, 1000};
    std::vector<std::uint64_t> sizes(input_.below(12));
    for (std::uint64_t& bytes : sizes) bytes = input_.pick(choices);
    return sizes;
  }
  static PeerId id(std::size_t source) { return {7, source + 1}; }

  void one_event() {
    const std::size_t index = input_.below(sources_.size());
    Source& source = sources_[index];
    now_ += Duration{std::chrono::milliseconds{input_.below(256)}};
    switch (input_.below(16)) {
      case 0:
        source = Source{.known = true};
        return fetch_->add_source(id(index));
      case 1:
        source = Source{};
        return fetch_->source_lost(id(index));
      case 2:
        fetch_->stalled(now_, std::chrono::seconds(3));
        if (input_.below(4) == 0) fetch_->grant_fresh_deadlines(now_);
        return;
      case 3:
      case 4:
      case 5:
        return ask(index);
      default:
        receive(index, source.lanes[input_.below(source.lanes.size())]);
        for (const LostSource& dropped : fetch_->take_dropped()) {
          require(!dropped.why.empty(), "a holder is dropped for a reason");
          sources_[dropped.source.low - 1] = Source{};
        }
    }
  }

  void ask(std::size_t index) {
    const bool has = fetch_->has_request(id(index), now_);
    const auto request = fetch_->next_request(id(index), now_);
    require(has == request.has_value(), "a request that is announced is there");
    if (!request) return;
    require(sources_[index].known, "only a holder is asked");
    require(request->index < map_.blocks() && request->count <= map_.blocks() - request->index,
            "what is asked for exists");
    sources_[index].owed.push_back(*request);
  }

  void receive(std::size_t index, Lane& lane) {
    if (!lane.receiving && !begin(index, lane)) return;
    const Answer answer = *lane.receiving;
    const auto place = fetch_->destination(id(index), answer, lane.received);
    require(place.empty() || place.size() == answer.length - lane.received,
            "a place reaches to the end");
    const std::size_t some =
        std::min<std::size_t>(answer.length - lane.received, 1 + input_.below(256));
    if (!place.empty()) fill(lane, place.first(some));
    lane.received += some;
    if (lane.received < answer.length) return;
    lane.receiving.reset();
    fetch_->answer_arrived(id(index), answer, now_);
  }

  bool begin(std::size_t index, Lane& lane) {
    Source& source = sources_[index];
    Answer answer{input_.below(8) == 0 ? What::digests : What::block,
                  static_cast<std::uint32_t>(input_.below(40)), block_bytes};
    if (!source.owed.empty() && input_.below(8) != 0) {
      const std::size_t which = input_.below(source.owed.size());
      const Request request = source.owed[which];
      source.owed.erase(source.owed.begin() + static_cast<std::ptrdiff_t>(which));
      answer = {
          request.what, request.index,
          request.what == What::block ? map_.length(request.index) : request.count * digest_bytes};
    }
    if (input_.below(32) == 0) answer.length = input_.take<std::uint32_t>();
    std::string why;
    const bool taken = fetch_->answer_begins(id(index), answer, why);
    require(taken == why.empty(), "a refusal has a reason");
    if (!taken) {  // the link is closed
      source = Source{};
      fetch_->source_lost(id(index));
      return false;
    }
    lane.receiving = answer;
    lane.received = 0;
    lane.honest = input_.below(8) != 0;
    return true;
  }

  void fill(const Lane& lane, std::span<std::byte> place) {
    if (!lane.honest) return static_cast<void>(std::memset(place.data(), 0x5a, place.size()));
    Holder holder(elected_.views, map_, elected_digest_.blocks);
    for (std::size_t at = 0; at < place.size();) {
      const auto payload = holder.payload(*lane.receiving, lane.received + at);
      const std::size_t some = std::min(payload.size(), place.size() - at);
      std::memcpy(place.data() + at, payload.data(), some);
      at += some;
    }
  }

  Input& input_;
  std::vector<std::uint64_t> sizes_;
  Tensors elected_, own_;
  BlockMap map_;
  StateDigest elected_digest_, own_digest_;
  std::optional<Fetch> fetch_;
  std::array<Source, 3> sources_;
  Instant now_{};
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(data, size);
  FetchUnderFuzz(input).run();
  return 0;
}
