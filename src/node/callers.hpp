// The application's threads that are inside a communicator: what each waits for, and who tells it.
// Any thread. Its lock is never held while waiting, and taken after the loop where both are.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/status.hpp"
#include "net/loop_turns.hpp"
#include "node/peer_core.hpp"
#include "node/peer_requests.hpp"
#include "node/promise.hpp"

namespace pccl::node {

struct CallEnded {
  Outcome outcome;
  bool peers_pending = false;
};

class Callers {
 public:
  template <typename Value>
  using Waiting = std::shared_ptr<Promise<Value>>;

  // A call of the application that may block; the communicator's end waits for it to leave.
  class Inside {
   public:
    explicit Inside(Callers& callers);
    ~Inside();
    Inside(const Inside&) = delete;
    Inside& operator=(const Inside&) = delete;

   private:
    Callers& callers_;
  };

  void shut(const std::string& why);  // no call begins any more
  bool anybody_inside() const;
  void wait_until_nobody_is_inside();
  Outcome may_begin() const;  // interrupted once shut

  // Of the loop, when the caller that runs it leaves.
  net::Takeover takeover() const;

  Outcome begin_connect(const Waiting<Outcome>& promise);
  void end_connect(const Outcome& outcome);

  // One at a time, and all but the query for pending peers only when every op has been awaited.
  Outcome begin_call(wire::CallKind what, const Waiting<CallEnded>& promise);
  bool end_call(CallEnded ended);  // whether anybody waited

  // A sync that is being prepared; it takes itself back unless it is offered.
  class Sync {
   public:
    Sync(Callers& callers, const Waiting<EndedSync>& promise)
        : callers_(callers), begun_(callers.begin_sync(promise)) {}
    ~Sync() {
      if (begun_.ok() && !offered_) callers_.end_sync({});
    }
    Sync(const Sync&) = delete;
    Sync& operator=(const Sync&) = delete;

    const Outcome& begun() const { return begun_; }
    void is_offered() { offered_ = true; }

   private:
    Callers& callers_;
    Outcome begun_;
    bool offered_ = false;
  };
  Outcome begin_sync(const Waiting<EndedSync>& promise);
  bool end_sync(EndedSync ended);

  Outcome may_launch(std::uint64_t tag) const;
  void launched(std::uint64_t tag, OpHandle handle, const Waiting<EndedOp>& promise);
  bool end_op(OpHandle handle, EndedOp ended);   // whether it had been launched() already
  Waiting<EndedOp> op(std::uint64_t tag) const;  // null: launched by nobody, or awaited
  void forget_op(std::uint64_t tag);
  std::vector<Waiting<EndedOp>> unawaited_ops() const;

  Attributes attributes() const;
  void set_attributes(const Attributes& attributes);

 private:
  // The lock is held.
  Outcome may_begin_now() const;
  Outcome may_call(bool ops_must_be_awaited) const;

  mutable std::mutex mutex_;
  std::condition_variable nobody_inside_;
  int inside_ = 0;
  std::optional<std::string> shut_;  // why
  Attributes attributes_;
  Waiting<Outcome> connect_;
  Waiting<CallEnded> call_;
  Waiting<EndedSync> sync_;
  std::map<std::uint64_t, Waiting<EndedOp>> ops_by_tag_;  // launched, not awaited
  std::map<OpHandle, Waiting<EndedOp>> ops_by_handle_;    // not ended
  std::map<OpHandle, EndedOp> ended_in_launch_;           // before its launch knew the handle
};

}  // namespace pccl::node
