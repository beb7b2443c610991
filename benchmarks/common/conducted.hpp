// How the measured programs are conducted. Each process of each library (a *member*) connects to
// its conductor's socket and waits there, asleep, so that only one library at a time is busy:
//
//   member    → conductor   hello RANK WORLD VARIANT,VARIANT,...
//   conductor → member      run BYTES WARMUP ITERATIONS IN_PLACE CHECK VARIANT
//   member    → conductor   done WRONG ASIDE [TIME ...] [way ALGORITHM BYTES]
//                           [deviation RELATIVE_L2 LARGEST BOUND]
//                           (ASIDE: CPU time of filling in and checking; both in us; of rank
//                           0: its times, one per iteration; which way a call takes and what it
//                           sends, where that is known; and, when checked, how far a result that
//                           need not be exact is from the exact one)
//
// All members get the same order and carry it out in lockstep, because every all-reduce waits for
// all. They end when the conductor closes the socket. Sockets are Unix ones in the abstract
// namespace ("@name"): nothing to clean up. compare.py conducts several libraries at a time,
// `Conductor` just one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/deviation.hpp"

namespace bench {

struct Order {
  std::size_t bytes = 0;
  int warmup = 0;
  int iterations = 1;
  bool in_place = false;
  bool check = false;
  std::string variant = "-";  // an algorithm or setting, where a program offers several
};

// Of the last call.
struct Way {
  std::string algorithm;
  std::uint64_t bytes_sent = 0;  // by one member
};

struct Answer {
  std::size_t wrong = 0;          // elements, over all members
  double aside_microseconds = 0;  // of CPU time, beside the calls
  std::vector<double> microseconds;
  std::optional<Way> way;
  std::optional<Deviation> deviation;
};

// What a member does. `prepare` allocates and fills the buffers; `call` is what is timed.
class Workload {
 public:
  virtual ~Workload() = default;
  virtual void prepare(const Order& order) = 0;
  virtual void refill() = 0;  // the input as it was at first: in-place calls change it
  virtual void call() = 0;
  virtual std::size_t count_wrong() = 0;  // after a refill and one call
  virtual std::optional<Way> way() { return std::nullopt; }
  virtual std::optional<Deviation> deviation() { return std::nullopt; }  // likewise
};

struct MemberOptions {
  std::string control;  // the conductor's socket
  int rank = 0;
  int world = 2;
  std::vector<std::string> variants = {"-"};
};

// Serves orders until the conductor leaves.
void serve(const MemberOptions& options, Workload& workload);

// One float32 sum all-reduce; input == output when in place.
struct FloatCall {
  const float* input;
  float* output;
  std::size_t count;
  const std::string& variant;
};

class FloatSum : public Workload {
 public:
  FloatSum(int rank, int world, std::function<void(const FloatCall&)> all_reduce,
           bool always_in_place = false);
  void prepare(const Order& order) override;
  void refill() override;
  void call() override;
  std::size_t count_wrong() override;

 private:
  const int rank_, world_;
  const std::function<void(const FloatCall&)> all_reduce_;
  const bool always_in_place_;
  bool in_place_ = false;
  std::size_t count_ = 0;
  std::string variant_;
  std::vector<float> input_, output_;
};

class Conductor {
 public:
  Conductor();  // opens a socket with a name of its own
  ~Conductor();
  Conductor(const Conductor&) = delete;
  Conductor& operator=(const Conductor&) = delete;

  const std::string& name() const { return name_; }
  void await_members(int count);
  Answer measure(const Order& order);
  void dismiss();  // members end

 private:
  struct Member;
  std::string name_;
  int listener_ = -1;
  std::vector<std::unique_ptr<Member>> members_;
};

}  // namespace bench
