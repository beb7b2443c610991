// Who runs the loop: its thread, a caller that waits, and who takes over from whom. No test depends
// on how long anything takes, except that all of it ends within the test's limit.
#include "net/loop.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <cfenv>
#include <functional>
#include <future>
#include <string>
#include <thread>

namespace pccl::net {
namespace {

class LoopTest : public testing::Test {
 protected:
  LoopTest() : thread_([this] { loop_.run(); }) {}
  ~LoopTest() override {
    loop_.stop();
    thread_.join();
  }

  // The thread that runs a posted task.
  std::thread::id thread_of_a_task() {
    std::promise<std::thread::id> ran;
    loop_.post([&] { ran.set_value(std::this_thread::get_id()); });
    return ran.get_future().get();
  }
  void lend() {
    std::promise<void> lent;
    loop_.post([&] {
      loop_.caller_answered(Takeover::at_leisure);
      lent.set_value();
    });
    lent.get_future().get();
  }
  static Takeover nobody_waits() { return Takeover::at_leisure; }
  static Takeover somebody_waits() { return Takeover::at_once; }

  // Runs a task on the calling thread: lends the loop until this thread is quick enough to take it.
  void run_here(const std::function<void()>& task, const std::function<Takeover()>& takeover) {
    bool ran = false;
    while (!ran) {
      lend();
      bool posted = false;
      std::atomic<bool> done = false;
      loop_.run_until(
          [&] {
            if (!posted)
              loop_.post([&] {
                task();
                ran = true;
                done = true;
              });
            posted = true;
            return done.load();
          },
          takeover);
    }
  }

  Loop loop_;
  std::thread thread_;
};

TEST_F(LoopTest, ItsThreadRunsItWhileNobodyCalls) {
  EXPECT_EQ(thread_of_a_task(), thread_.get_id());
}

TEST_F(LoopTest, ACallerThatWaitsRunsItItself) {
  std::thread::id ran_on;
  run_here([&] { ran_on = std::this_thread::get_id(); }, nobody_waits);
  EXPECT_EQ(ran_on, std::this_thread::get_id());
}

TEST_F(LoopTest, ItsThreadTakesOverWhenTheCallerHasLeft) {
  run_here([] {}, nobody_waits);
  EXPECT_EQ(thread_of_a_task(), thread_.get_id());
  run_here([] {}, somebody_waits);
  EXPECT_EQ(thread_of_a_task(), thread_.get_id());
}

TEST_F(LoopTest, ItsThreadTakesOverWorkThatIsLeftBehind) {
  lend();
  EXPECT_EQ(thread_of_a_task(), thread_.get_id());
  run_here([] {}, [] { return Takeover::soon; });
  EXPECT_EQ(thread_of_a_task(), thread_.get_id());
}

TEST_F(LoopTest, OnlyOneThreadRunsIt) {
  run_here(
      [&] {
        std::thread([&] {
          loop_.run_until([] { return ADD_FAILURE(), true; }, nobody_waits);
        }).join();
      },
      nobody_waits);
}

TEST_F(LoopTest, ACallerThatRunsItSeesAnAnswerFromAnotherThread) {
  std::atomic<bool> answered = false;
  std::thread other;
  while (!answered) {
    lend();
    loop_.run_until(
        [&] {
          if (!other.joinable())
            other = std::thread([&] {
              const Loop::Hold hold(loop_);
              answered = true;
              loop_.caller_answered(Takeover::at_leisure);
            });
          return answered.load();
        },
        nobody_waits);
  }
  other.join();
}

// Whether anybody runs the loop when the task is left, and who, is up to the threads.
TEST_F(LoopTest, WhatIsLeftIsDoneWhoeverRunsIt) {
  using Leave = void (Loop::*)(std::function<void()>);
  for (const Leave leave : {&Loop::soon, &Loop::before_sleep})
    for (int round = 0; round < 200; ++round) {
      if (round % 2 == 0) lend();
      std::promise<void> done;
      {
        const Loop::Hold hold(loop_);
        (loop_.*leave)([&] { done.set_value(); });
      }
      if (round % 4 == 0) loop_.run_until([] { return true; }, nobody_waits);
      done.get_future().get();
    }
}

TEST_F(LoopTest, ACallerThatTakesItBeginsWithWhatIsLeft) {
  for (bool here = false; !here;) {
    lend();
    std::atomic<bool> done = false;
    std::thread::id ran_by;
    bool before_first_look = false;
    {
      const Loop::Hold hold(loop_);
      loop_.soon([&] {
        ran_by = std::this_thread::get_id();
        done = true;
      });
    }
    loop_.run_until([&] { return before_first_look = done, true; }, nobody_waits);
    while (!done) std::this_thread::yield();
    here = before_first_look && ran_by == std::this_thread::get_id();
  }
}

// A loop that never sleeps has its limits, too.
TEST_F(LoopTest, WhatIsLeftForSleepIsDoneInABusyLoop) {
  std::atomic<bool> done = false;
  std::promise<void> ended;
  std::function<void()> again = [&] {
    if (done) return ended.set_value();
    loop_.post(again);
  };
  loop_.post([&] {
    loop_.before_sleep([&] { done = true; });
    again();
  });
  ended.get_future().get();
}

TEST_F(LoopTest, WhatIsLeftWithinATurnIsDoneAfterAllThatIsReady) {
  std::string order;
  std::promise<void> slept, done;
  loop_.post([&] {
    loop_.before_sleep([&] { slept.set_value(); });
    loop_.soon([&] { order += '3'; });
    loop_.post([&] { order += '4'; });
    order += '1';
    loop_.soon([&] {
      order += '5';
      done.set_value();
    });
    order += '2';
  });
  done.get_future().get();
  EXPECT_EQ(order, "12345");
  slept.get_future().get();
}

TEST_F(LoopTest, AStoppedLoopReturnsToItsCaller) {
  bool ran = false;
  while (!ran) {
    lend();
    loop_.run_until(
        [&] {
          if (!ran) loop_.stop();
          ran = true;
          return false;
        },
        nobody_waits);
  }
}

TEST_F(LoopTest, HoldingItIsStandardArithmetic) {
  std::fesetround(FE_UPWARD);
  {
    const Loop::Hold hold(loop_);
    EXPECT_EQ(std::fegetround(), FE_TONEAREST);
  }
  EXPECT_EQ(std::fegetround(), FE_UPWARD);
  std::fesetround(FE_TONEAREST);
}

}  // namespace
}  // namespace pccl::net
