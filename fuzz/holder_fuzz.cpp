// A holder whose fetchers ask for anything: every answer is one that was asked for, with exactly
// the bytes of the state.
#include <array>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "input.hpp"
#include "shared_state/digest_state.hpp"
#include "shared_state/holder.hpp"

namespace {

using namespace pccl;
using namespace pccl::shared_state;
using fuzz::Input;
using fuzz::require;

struct Sending {
  Answer answer;
  std::size_t handed = 0;
};

void run(Input& input) {
  constexpr std::uint64_t choices[] = {0, 1, 7, 30, 63, 64, 65, 128, 1000};
  std::vector<std::uint64_t> sizes(input.below(12));
  std::vector<std::unique_ptr<std::byte[]>> memory;
  std::vector<TensorView> views;
  for (std::uint64_t& bytes : sizes) {
    bytes = input.pick(choices);
    memory.push_back(std::make_unique<std::byte[]>(bytes));
    for (std::uint64_t at = 0; at < bytes; ++at)
      memory.back()[at] = static_cast<std::byte>(at * 13 + bytes);
    views.push_back({memory.back().get(), bytes});
  }
  std::string why;
  const BlockMap map = BlockMap::cut(sizes, why, 64).value();
  const StateDigest digest = digest_state(views, map, 1);
  Holder holder(views, map, digest.blocks);
  std::array<std::map<PeerId, std::optional<Sending>>, 2> lanes;

  while (!input.empty()) {
    const PeerId receiver{1, input.below(3)};
    auto& lane = lanes[input.below(lanes.size())][receiver];
    switch (input.below(8)) {
      case 0:
        holder.receiver_lost(receiver);
        for (auto& all : lanes) all[receiver].reset();
        break;
      case 1:
      case 2: {
        const bool wild = input.below(8) == 0;
        const Request request{
            static_cast<What>(input.below(input.below(16) == 0 ? 256 : 2)),
            wild ? input.take<std::uint32_t>() : static_cast<std::uint32_t>(input.below(40)),
            wild ? input.take<std::uint32_t>() : 1};
        std::string refusal;
        require(holder.request_arrived(receiver, request, refusal) == refusal.empty(),
                "a refusal has a reason");
        break;
      }
      default: {
        if (!lane) {
          const bool has = holder.has_answer(receiver);
          const auto answer = holder.next_answer(receiver);
          require(has == answer.has_value(), "an answer that is announced is there");
          if (!answer) break;
          lane = Sending{*answer};
        }
        const auto payload = holder.payload(lane->answer, lane->handed);
        require(!payload.empty() && payload.size() <= lane->answer.length - lane->handed,
                "a payload is within its frame");
        std::size_t at = lane->handed;
        if (lane->answer.what == What::block)
          map.for_each_piece(lane->answer.index, static_cast<std::uint32_t>(lane->handed),
                             static_cast<std::uint32_t>(payload.size()), [&](const Piece& piece) {
                               for (std::uint64_t byte = 0; byte < piece.length; ++byte, ++at)
                                 require(payload[at - lane->handed] == bytes_of(views, piece)[byte],
                                         "a payload is the state's bytes");
                             });
        lane->handed += std::min<std::size_t>(payload.size(), 1 + input.below(256));
        if (lane->handed < lane->answer.length) break;
        holder.answer_sent(receiver, lane->answer);
        lane.reset();
      }
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(data, size);
  run(input);
  return 0;
}
