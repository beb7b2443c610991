// The master's sockets and thread around MasterMachine.
#include "node/master_node.hpp"

#include <sys/random.h>

#include <atomic>
#include <deque>
#include <map>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

#include "base/interrupt_check.hpp"
#include "base/limits.hpp"
#include "base/log.hpp"
#include "membership/master_machine.hpp"
#include "net/control_channel.hpp"
#include "net/listener.hpp"
#include "net/loop.hpp"
#include "node/promise.hpp"
#include "node/state_file.hpp"

namespace pccl::node {

namespace {

// So long, and so many at a time, closed connections wait for the other side to have read why: it
// may be a peer that was cut off, and comes back.
constexpr auto farewell_time = std::chrono::seconds(30);
constexpr std::size_t farewells = 256;

std::uint64_t random_number() {
  std::uint64_t number = 0;
  if (::getrandom(&number, sizeof number, 0) != sizeof number)
    throw std::system_error(errno, std::generic_category(), "getrandom");
  return number;
}

// Microseconds since 1970: a master that is started again has a higher term, without any memory.
Term new_term(const std::optional<membership::Recollection>& before) {
  const auto since_1970 = std::chrono::system_clock::now().time_since_epoch();
  const Term by_clock{static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::microseconds>(since_1970).count())};
  return before ? std::max(by_clock, before->term.next()) : by_clock;
}

membership::MasterSettings settings(const MasterOptions& options,
                                    std::optional<membership::Recollection> before) {
  return {.term = new_term(before),
          .peer_timeout = options.peer_timeout,
          .accept_restored_state = options.accept_restored_state,
          .grace = options.grace,
          .recollection = std::move(before),
          .random = random_number,
          .straggler_timeout = options.straggler_timeout,
          .remove_stragglers = options.remove_stragglers,
          .op_records = log()->should_log(spdlog::level::debug)};
}

}  // namespace

class MasterNode::Impl {
 public:
  explicit Impl(MasterOptions options)
      : options_(std::move(options)), machine_(settings(options_, std::nullopt)) {}
  ~Impl() {
    interrupt();
    join();
  }

  Outcome run();
  bool launched() const { return launched_; }
  void interrupt() noexcept { loop_.stop(); }
  Outcome await_termination();
  Endpoint listening() const { return listener_.local(); }

 private:
  void join();
  Outcome recollect();
  void remember();
  using Connection = membership::Connection;
  struct Leaving {
    std::unique_ptr<net::ControlChannel> channel;
    Instant until;
  };

  void accept(net::FileDescriptor socket, const Endpoint& remote);
  void feed(membership::MasterEvent event);
  void carry_out(const membership::MasterEffect& effect);
  void close(Connection connection);
  void solve(const membership::SolveRings& question);

  MasterOptions options_;
  membership::MasterMachine machine_;
  net::Loop loop_;
  net::Listener listener_{loop_};
  net::Loop::Timer timer_{loop_};
  std::map<Connection, std::unique_ptr<net::ControlChannel>> channels_;
  std::deque<Leaving> leaving_;
  Connection next_connection_{1};
  std::deque<membership::MasterEvent> inbox_;
  bool draining_ = false;
  std::thread solver_;  // of the newest question

  std::atomic<bool> launched_ = false;
  Promise<bool> ended_;
  std::mutex joining_;
  std::thread thread_;
};

Outcome MasterNode::Impl::run() {
  if (launched_) return {Status::invalid_usage, "this master has been launched before"};
  const net::Loop::Hold hold(loop_);
  const Outcome listening =
      listener_.listen(options_.listen, [this](net::FileDescriptor socket, const Endpoint& remote) {
        accept(std::move(socket), remote);
      });
  if (!listening.ok()) return listening;
  if (const Outcome known = recollect(); !known.ok()) {
    listener_.close();
    return known;
  }
  launched_ = true;
  log()->info("the master listens on {}", to_string(listener_.local()));
  feed(membership::TimePassed{});  // its life begins
  thread_ = std::thread([this] {
    loop_.run();
    // Interrupted: the peers see the connections end.
    const net::Loop::Hold last(loop_);
    listener_.close();
    channels_.clear();
    leaving_.clear();
    timer_.cancel();
    ended_.deliver(true);
  });
  return {};
}

// The port is this master's by now: a former life of it does not write the file any more.
Outcome MasterNode::Impl::recollect() {
  if (options_.state_file.empty()) return {};
  std::optional<membership::Recollection> before;
  if (const Outcome loaded = load(options_.state_file, before); !loaded.ok()) return loaded;
  machine_ = membership::MasterMachine(settings(options_, before));
  return save(options_.state_file, before.value_or(membership::Recollection{}));
}

Outcome MasterNode::Impl::await_termination() {
  while (launched_ && has_interrupt_check() && !ended_.kept_within(interrupt_check_interval))
    if (application_interrupts())
      return {Status::interrupted, "the application no longer waits for the master"};
  join();
  return {};
}

void MasterNode::Impl::join() {
  const std::lock_guard guard(joining_);
  if (thread_.joinable()) thread_.join();
  if (solver_.joinable()) solver_.join();
}

void MasterNode::Impl::accept(net::FileDescriptor socket, const Endpoint& remote) {
  const Connection connection = std::exchange(next_connection_, next_connection_.next());
  auto channel = std::make_unique<net::ControlChannel>(
      net::Stream(loop_, std::move(socket), remote), limits::greeting_frame_bytes);
  channel->batch_sends();
  channel->start(
      [this, connection](wire::Frame frame) {
        feed(membership::FrameReceived{connection, std::move(frame)});
      },
      [this, connection](const std::string& why) {
        feed(membership::ConnectionClosed{connection, why});
      });
  channels_[connection] = std::move(channel);
  feed(membership::ConnectionOpened{connection, remote.address});
}

// A send may find its connection dead and raise the next event: it waits for the end of this one.
void MasterNode::Impl::feed(membership::MasterEvent event) {
  inbox_.push_back(std::move(event));
  if (std::exchange(draining_, true)) return;
  while (!inbox_.empty()) {
    const membership::MasterEvent next = std::move(inbox_.front());
    inbox_.pop_front();
    const membership::MasterEffects effects = machine_.step(next, net::Loop::now());
    remember();
    for (const membership::MasterEffect& effect : effects) carry_out(effect);
    if (const auto* closed = std::get_if<membership::ConnectionClosed>(&next))
      channels_.erase(closed->connection);
  }
  draining_ = false;
}

void MasterNode::Impl::remember() {
  if (options_.state_file.empty()) return;
  const auto recollection = machine_.take_recollection();
  if (!recollection) return;
  const Outcome saved = save(options_.state_file, *recollection);
  if (!saved.ok()) log()->error("master: {}", saved.why);
}

void MasterNode::Impl::carry_out(const membership::MasterEffect& effect) {
  if (const auto* send = std::get_if<membership::Send>(&effect)) {
    const auto channel = channels_.find(send->connection);
    if (channel == channels_.end()) return;
    if (std::holds_alternative<wire::Welcome>(send->message))
      channel->second->raise_limit(limits::control_frame_bytes);
    channel->second->send(machine_.term(), send->message);
  } else if (const auto* closing = std::get_if<membership::Close>(&effect)) {
    close(closing->connection);
  } else if (const auto* wake = std::get_if<membership::WakeAt>(&effect)) {
    timer_.set(wake->at, [this] {
      while (!leaving_.empty() && leaving_.front().until < net::Loop::now()) leaving_.pop_front();
      feed(membership::TimePassed{});
    });
  } else if (const auto* solve_rings = std::get_if<membership::SolveRings>(&effect)) {
    solve(*solve_rings);
  } else if (const auto* note = std::get_if<membership::Note>(&effect)) {
    log()->log(note->detail ? spdlog::level::debug : spdlog::level::info, "master: {}", note->text);
  }
}

// Beside the loop: heartbeats are answered meanwhile. There is one question at a time, unless
// everybody has left while it was thought about: then the next one waits for the thread, which
// takes a second or so.
void MasterNode::Impl::solve(const membership::SolveRings& question) {
  if (solver_.joinable()) solver_.join();
  const auto think = [this, question] {
    membership::RingsSolved solved{question.question, {}};
    for (const auto& [group, qualities] : question.groups)
      solved.rings[group] = plan::best_ring(qualities);
    loop_.post([this, solved] { feed(solved); });
  };
  try {
    solver_ = std::thread(think);
  } catch (const std::system_error&) {  // no thread to be had
    think();
  }
}

void MasterNode::Impl::close(Connection connection) {
  auto channel = channels_.extract(connection);
  if (!channel) return;
  channel.mapped()->close_after_sending();
  if (leaving_.size() >= farewells) leaving_.pop_front();
  leaving_.push_back({std::move(channel.mapped()), net::Loop::now() + farewell_time});
}

MasterNode::MasterNode(MasterOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {}
MasterNode::~MasterNode() = default;
Outcome MasterNode::run() {
  return impl_->run();
}
bool MasterNode::launched() const {
  return impl_->launched();
}
void MasterNode::interrupt() noexcept {
  impl_->interrupt();
}
Outcome MasterNode::await_termination() {
  return impl_->await_termination();
}
Endpoint MasterNode::listening() const {
  return impl_->listening();
}

}  // namespace pccl::node
