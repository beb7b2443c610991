#include "net/loop.hpp"

#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <asio/post.hpp>
#include <asio/steady_timer.hpp>
#include <cerrno>
#include <system_error>

#include "net/loop_asio.hpp"

namespace pccl::net {

namespace {

// A caller looks for what it waits for instead of sleeping only in the beginning of its wait: what
// takes longer is not made of wake-ups.
constexpr Duration longest_spinning = std::chrono::milliseconds(10);

}  // namespace

Loop::Loop() : asio_(std::make_unique<Asio>()) {
  asio_->stop_event = FileDescriptor(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!asio_->stop_event) throw std::system_error(errno, std::generic_category(), "eventfd");
  asio_->stop_waiter.assign(asio_->stop_event.get());
  asio_->stop_waiter.async_wait(asio::posix::stream_descriptor::wait_read,
                                [this](const asio::error_code& error) {
                                  if (!error) asio_->context.stop();
                                });
}

Loop::~Loop() {
  asio_->stop_waiter.release();
}

void Loop::run() {
  // The application's signal handlers run on the application's threads.
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);
  pthread_setname_np(pthread_self(), "pccl-loop");
  while (!asio_->context.stopped()) {
    asio_->turns.take();
    run_left(asio_->for_next_turn);
    while (!asio_->turns.lent() && run_one()) {
    }
    asio_->turns.give();
  }
}

void Loop::run_until(const std::function<bool()>& done, const std::function<Takeover()>& takeover) {
  if (!asio_->turns.try_take_as_caller()) return;
  run_left(asio_->for_next_turn);
  const Instant spinning_ends = now() + longest_spinning;
  const auto ran_one = [&] { return poll_one(); };
  const auto found_one = [&] { return now() < spinning_ends && asio_->spin.until(ran_one); };
  while (!done() && (ran_one() || found_one() || run_one())) {
  }
  asio_->turns.give_as_caller(takeover());
}

// One handler that is ready, if any.
bool Loop::poll_one() {
  if (asio_->before_sleep.overdue()) run_left(asio_->before_sleep);
  return asio_->context.poll_one() > 0;
}

// Sleeps when there is nothing else to do. False: stopped.
bool Loop::run_one() {
  if (asio_->before_sleep.any()) {
    if (poll_one()) return true;
    run_left(asio_->before_sleep);
  }
  return asio_->context.run_one() > 0;
}

void Loop::run_left(LeftTasks& tasks) {
  if (!tasks.any()) return;
  const Hold hold(*this);
  tasks.run();
}

bool Loop::runs_here() const {
  return asio_->context.get_executor().running_in_this_thread();
}

// Whoever takes the loop after the task has been left sees it; else somebody has it already.
void Loop::soon(std::function<void()> task) {
  if (runs_here()) return post(std::move(task));
  asio_->for_next_turn.leave(std::move(task));
  if (!asio_->turns.nobody_runs()) asio_->for_next_turn.run();
}

void Loop::before_sleep(std::function<void()> task) {
  asio_->before_sleep.leave(std::move(task));
  if (!runs_here() && !asio_->turns.nobody_runs()) asio_->before_sleep.run();
}

void Loop::caller_answered(Takeover takeover) {
  if (takeover != Takeover::at_once) asio_->turns.lend();
  // The caller may be waiting in Asio for something else to happen.
  if (asio_->turns.another_caller_runs()) asio::post(asio_->context, [] {});
}

void Loop::leave_work() {
  asio_->turns.note_ops_in_flight();
}

void Loop::stop() noexcept {
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = ::write(asio_->stop_event.get(), &one, sizeof one);
}

Loop::Hold::Hold(Loop& loop) : loop_(loop) {
  loop_.asio_->lock.lock();
}
Loop::Hold::~Hold() {
  loop_.asio_->lock.unlock();
}

void Loop::post(std::function<void()> task) {
  asio::post(asio_->context, [this, task = std::move(task)] {
    const Hold hold(*this);
    task();
  });
}

struct Loop::Timer::State {
  explicit State(Loop& owner) : loop(owner), timer(owner.asio_->context) {}
  Loop& loop;
  asio::steady_timer timer;
  std::uint64_t setting =
      0;  // an expiry that was already on its way when the timer was set anew is ignored
};

Loop::Timer::Timer(Loop& loop) : state_(std::make_shared<State>(loop)) {}

Loop::Timer::~Timer() {
  cancel();
}

void Loop::Timer::set(Instant at, std::function<void()> task) {
  const std::uint64_t setting = ++state_->setting;
  state_->timer.expires_at(at);
  state_->timer.async_wait([weak = std::weak_ptr(state_), setting,
                            task = std::move(task)](const asio::error_code& error) {
    const auto state = weak.lock();
    if (error || !state) return;
    const Hold hold(state->loop);
    if (state->setting == setting) task();
  });
}

void Loop::Timer::cancel() {
  ++state_->setting;
  state_->timer.cancel();
}

}  // namespace pccl::net
