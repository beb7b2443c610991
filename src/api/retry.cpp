// pcclAllReduceMultipleWithRetry and -WithFeedback: many ops, a few at a time, until each one has
// succeeded.
//
// Ops are launched in the order of the array and awaited in the order of their launch, so the first
// op that is not done is always in flight, on every peer: with equal arrays no two peers can wait
// for each other's later ops. When a peer is lost, everything in flight is awaited before anything
// is launched again, again from the first op that is not done. An op counts as done when its await
// has succeeded and in no other way; since the library decides an op alike on all members, all
// peers launch the same ops again.
#include <algorithm>
#include <deque>
#include <utility>
#include <vector>

#include "api/communicator.hpp"
#include "api/error_feedback.hpp"
#include "api/reduce_request.hpp"
#include "api/road.hpp"

namespace pccl::api {

namespace {

using node::ReduceRequest;

Answer check_shape(const pcclReduceOpDescriptor_t* descriptors, std::size_t count,
                   int max_in_flight) {
  if (descriptors == nullptr) return invalid_argument("the array of descriptors is NULL");
  if (count == 0) return invalid_argument("count is 0");
  if (max_in_flight <= 0)
    return invalid_argument("max_in_flight is " + std::to_string(max_in_flight));
  return success();
}

// `feedbacks` may be null, and so may each of them.
Answer check_all(const pcclReduceOpDescriptor_t* descriptors, pcclErrorFeedback_t* const* feedbacks,
                 std::size_t count, device::Stream stream, const Road& road,
                 std::vector<ReduceRequest>& requests, std::vector<FeedbackLease>& leases) {
  requests.resize(count);
  leases.resize(count);
  std::vector<std::uint64_t> tags(count);
  for (std::size_t i = 0; i < count; ++i) {
    const pcclReduceOpDescriptor_t& one = descriptors[i];
    Answer wrong = check_reduce(one.sendbuf, one.recvbuf, &one.descriptor, stream, requests[i]);
    if (wrong.ok() && feedbacks != nullptr)
      wrong = road.lease(feedbacks[i], requests[i], leases[i]);
    if (!wrong.ok()) {
      wrong.why.insert(0, "descriptor " + std::to_string(i) + ": ");
      return wrong;
    }
    tags[i] = requests[i].tag;
  }
  std::ranges::sort(tags);
  const auto twice = std::ranges::adjacent_find(tags);
  if (twice != tags.end())
    return invalid_argument("tag " + std::to_string(*twice) + " is given twice");
  return success();
}

// The ranks of a host hear of each op the same, so they go on alike as well.
class Batch {
 public:
  Batch(const Road& road, const std::vector<ReduceRequest>& requests, std::size_t max_in_flight)
      : road_(road),
        requests_(requests),
        max_in_flight_(max_in_flight),
        done_(requests.size(), false) {}

  // The caller's buffers are in use until every launched op has been awaited, also when an
  // exception ends this.
  ~Batch() {
    while (!in_flight_.empty()) without_exceptions([this] { return await_oldest(), success(); });
  }
  Batch(const Batch&) = delete;
  Batch& operator=(const Batch&) = delete;

  // Launches and awaits what is not done, until all is done or something fails; then launches
  // nothing more and awaits the rest. Nothing is in flight when it returns.
  //   ok  all done · peer_lost  another wave may do the rest · anything else  the end
  Outcome run_wave() {
    Outcome wave;
    std::size_t next = 0;
    const auto note = [&wave](Outcome outcome) {
      if (wave.ok() || (wave.status == Status::peer_lost && !outcome.ok()))
        wave = std::move(outcome);
    };
    do {
      while (wave.ok() && in_flight_.size() < max_in_flight_ && find_not_done(next))
        note(launch(next++));
      if (!in_flight_.empty()) note(await_oldest());
    } while (!in_flight_.empty() || (wave.ok() && find_not_done(next)));
    return wave;
  }

  bool all_done() const {
    return std::ranges::all_of(done_, [](bool done) { return done; });
  }

  std::uint64_t tx_bytes = 0;  // of the ops that are done
  std::uint64_t rx_bytes = 0;

 private:
  bool find_not_done(std::size_t& index) const {
    while (index < done_.size() && done_[index]) ++index;
    return index < done_.size();
  }

  Outcome launch(std::size_t index) {
    in_flight_.push_back(index);  // first, so that an op once launched cannot be forgotten
    Outcome outcome{Status::internal, "an exception"};
    try {
      outcome = named(index, road_.launch(requests_[index]));
    } catch (...) {
      in_flight_.pop_back();
      throw;
    }
    if (!outcome.ok()) in_flight_.pop_back();
    return outcome;
  }

  Outcome await_oldest() {
    const std::size_t index = in_flight_.front();
    in_flight_.pop_front();
    node::ReduceInfo info;
    Outcome outcome = named(index, road_.await(requests_[index].tag, info));
    if (outcome.ok()) {
      done_[index] = true;
      tx_bytes += info.tx_bytes;
      rx_bytes += info.rx_bytes;
    }
    return outcome;
  }

  Outcome named(std::size_t index, Outcome outcome) const {
    if (!outcome.ok()) outcome.why.insert(0, "tag " + std::to_string(requests_[index].tag) + ": ");
    return outcome;
  }

  const Road& road_;
  const std::vector<ReduceRequest>& requests_;
  const std::size_t max_in_flight_;
  std::vector<bool> done_;
  std::deque<std::size_t> in_flight_;  // in the order of their launch
};

Answer reduce_all(const Road& road, const std::vector<ReduceRequest>& requests,
                  std::size_t max_in_flight, pcclReduceInfo_t* info_out) {
  Batch batch(road, requests, max_in_flight);
  while (!batch.all_done()) {
    const Outcome wave = batch.run_wave();
    if (!wave.ok() && wave.status != Status::peer_lost) return answer_of(await_result, wave);
    log()->debug("pcclAllReduceMultipleWithRetry: {}",
                 wave.ok() ? "all done" : "again, since " + wave.why);
  }
  if (info_out != nullptr) *info_out = {road.group_world_size(), batch.tx_bytes, batch.rx_bytes};
  return success();
}

pcclResult_t reduce_multiple(const char* call, const pcclReduceOpDescriptor_t* descriptors,
                             pcclErrorFeedback_t* const* feedbacks, std::size_t count,
                             const pcclComm_t* communicator, pcclReduceInfo_t* info_out,
                             int max_in_flight) {
  return with_communicator(call, communicator, [&](pcclComm_t& entered) {
    Answer checked = check_shape(descriptors, count, max_in_flight);
    const Road road(entered);
    if (!road) return checked.ok() ? invalid_usage("not connected") : checked;
    std::vector<ReduceRequest> requests;
    std::vector<FeedbackLease> leases;
    if (checked.ok())  // also a count that memory does not suffice for is an answer of all
      checked = without_exceptions([&] {
        return check_all(descriptors, feedbacks, count, entered.stream(), road, requests, leases);
      });
    if (!checked.ok()) return road.refuse(std::move(checked));
    if (!road.over_hosts() && road.group_world_size() < 2)
      return Answer{pcclTooFewPeers, "alone in the peer group"};
    return reduce_all(road, requests, static_cast<std::size_t>(max_in_flight), info_out);
  });
}

}  // namespace

}  // namespace pccl::api

using namespace pccl::api;

pcclResult_t pcclAllReduceMultipleWithRetry(const pcclReduceOpDescriptor_t* descriptors,
                                            size_t count, const pcclComm_t* communicator,
                                            pcclReduceInfo_t* reduce_info_out, int max_in_flight) {
  return reduce_multiple("pcclAllReduceMultipleWithRetry", descriptors, nullptr, count,
                         communicator, reduce_info_out, max_in_flight);
}

pcclResult_t pcclAllReduceMultipleWithFeedback(const pcclReduceOpDescriptor_t* descriptors,
                                               pcclErrorFeedback_t* const* feedbacks, size_t count,
                                               const pcclComm_t* communicator,
                                               pcclReduceInfo_t* reduce_info_out,
                                               int max_in_flight) {
  return reduce_multiple("pcclAllReduceMultipleWithFeedback", descriptors, feedbacks, count,
                         communicator, reduce_info_out, max_in_flight);
}
