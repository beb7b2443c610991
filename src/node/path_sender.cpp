#include "node/path_sender.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "base/limits.hpp"
#include "base/rng.hpp"

namespace pccl::node {

namespace {

using Block = std::array<std::byte, limits::load_bytes>;

// No run of zeros: what compresses on its way would be measured faster than tensors travel.
const Block& noise() {
  static const Block block = [] {
    Block bytes{};
    Rng rng(1);
    for (std::byte& byte : bytes) byte = static_cast<std::byte>(rng.next() >> 56);
    return bytes;
  }();
  return block;
}

}  // namespace

class PathSender::Load final : public net::LaneClient {
 public:
  std::optional<wire::BulkHeader> next_frame() override {
    if (!until_ || net::Loop::now() > *until_) return std::nullopt;
    return wire::BulkHeader{.kind = wire::BulkKind::load, .length = limits::load_bytes};
  }
  std::span<const std::byte> payload(const wire::BulkHeader&, std::size_t offset) override {
    return std::span(noise()).subspan(offset);
  }
  void frame_sent(const wire::BulkHeader&) override {}
  bool frame_begins(const wire::BulkHeader& frame, std::string& why) override {
    if (frame.kind == wire::BulkKind::load_wanted) return true;
    why = "protocol error: who measures a path only asks for its load";
    return false;
  }
  std::span<std::byte> destination(const wire::BulkHeader&, std::size_t) override { return {}; }
  // Should the other side never have enough, this one has.
  void frame_arrived(const wire::BulkHeader&) override {
    if (!until_) until_ = net::Loop::now() + 2 * limits::path_load_time;
  }

 private:
  std::optional<Instant> until_;
};

PathSender::PathSender(net::Loop& loop, membership::MeasurePath measure, std::uint32_t lanes,
                       Duration peer_timeout, Failed failed)
    : loop_(loop),
      measure_(std::move(measure)),
      deadline_(net::Loop::now() + peer_timeout),
      failed_(std::move(failed)),
      lanes_(lanes) {
  for (std::size_t lane = 0; lane < lanes_.size(); ++lane)
    lanes_[lane].dialer = std::make_unique<net::Dialer>(
        loop_, measure_.wanted.other.p2p, peer_timeout,
        [this, lane](net::FileDescriptor socket, const std::string& why) {
          if (socket)
            greet(lane, std::move(socket));
          else
            fail(why);
        });
  timer_.set(deadline_, [this] { fail("the handshake was not answered in time"); });
}

PathSender::~PathSender() = default;

void PathSender::greet(std::size_t lane, net::FileDescriptor socket) {
  const wire::PathWanted& wanted = measure_.wanted;
  auto channel = std::make_unique<net::ControlChannel>(
      net::Stream(loop_, std::move(socket), wanted.other.p2p), limits::greeting_frame_bytes);
  channel->start(
      [this, lane](const wire::Frame& frame) {
        if (std::holds_alternative<wire::LaneWelcome>(frame.message)) return ready(lane);
        const auto* const refused = std::get_if<wire::Refused>(&frame.message);
        fail(refused != nullptr ? "it refuses the lane: " + refused->why
                                : "it does not keep the protocol");
      },
      [this](const std::string& why) {
        fail("it closed the connection during the handshake (" + why + ")");
      });
  channel->send(Term{}, wire::PathHello{.token = wanted.token,
                                        .from = measure_.self,
                                        .lane = static_cast<std::uint16_t>(lane),
                                        .lanes = static_cast<std::uint16_t>(lanes_.size())});
  lanes_[lane].channel = std::move(channel);
}

void PathSender::ready(std::size_t number) {
  Lane& mine = lanes_[number];
  auto [stream, early] = mine.channel->release();
  mine.channel.reset();
  mine.load = std::make_unique<Load>();
  // A lane's end is the usual end: whoever receives has measured enough, or says what is wrong.
  mine.lane =
      std::make_unique<net::BulkLane>(std::move(stream), std::move(early), *mine.load,
                                      net::BulkLane::Callbacks{[] {}, [](const std::string&) {}});
  mine.lane->start();
  if (std::all_of(lanes_.begin(), lanes_.end(),
                  [](const Lane& lane) { return lane.lane != nullptr; }))
    timer_.cancel();
}

void PathSender::fail(const std::string& why) {
  if (!failed_) return;
  const Failed failed = std::exchange(failed_, nullptr);
  timer_.cancel();
  // Silence for so long tells of the path; anything else has come over it.
  const auto fault =
      net::Loop::now() < deadline_ ? wire::LinkFault::not_opened : wire::LinkFault::unreached;
  const std::string reason = why;  // may belong to what is closed now
  const std::vector<Lane> closed = std::move(lanes_);
  failed(fault, reason);
}

}  // namespace pccl::node
