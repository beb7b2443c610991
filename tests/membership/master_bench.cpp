#include "membership/master_bench.hpp"

#include <gtest/gtest.h>

namespace pccl::membership::test {

IpAddress address(std::uint8_t last) {
  return {false, {10, 0, 0, last}};
}

IpAddress loopback() {
  return {false, {127, 0, 0, 1}};
}

void MasterBench::step(const MasterEvent& event) {
  const MasterEffects effects = machine_.step(event, now_);
  remembered_ = machine_.take_recollection().value_or(remembered_);
  for (const MasterEffect& effect : effects) {
    if (const auto* send = std::get_if<Send>(&effect)) {
      const std::uint64_t to = send->connection.value;
      EXPECT_TRUE(is_open(to)) << "sends to connection " << to << ", which is not open";
      sent_[to].push_back(send->message);
      if (const auto* welcome = std::get_if<wire::Welcome>(&send->message))
        ids_[to] = welcome->peer;
      if (const auto* proposed = std::get_if<wire::EpochProposed>(&send->message))
        proposed_[to] = proposed->epoch;
      if (std::holds_alternative<wire::EpochInstalled>(send->message)) accepted_.insert(to);
    } else if (const auto* close = std::get_if<Close>(&effect)) {
      closed_.insert(close->connection.value);
    } else if (const auto* wake = std::get_if<WakeAt>(&effect)) {
      wake_at_ = wake->at;
    } else if (const auto* solve = std::get_if<SolveRings>(&effect)) {
      question_ = *solve;
    } else {
      notes_.push_back(std::get<Note>(effect).text);
    }
  }
}

std::uint64_t MasterBench::open(const IpAddress& from) {
  const std::uint64_t connection = next_connection_++;
  sent_[connection];
  step(ConnectionOpened{Connection{connection}, from});
  return connection;
}

void MasterBench::frame(std::uint64_t connection, const wire::Message& message, Term term) {
  step(FrameReceived{Connection{connection}, {term, message}});
}

void MasterBench::close(std::uint64_t connection) {
  closed_.insert(connection);
  step(ConnectionClosed{Connection{connection}, "end of stream"});
}

void MasterBench::tick() {
  ASSERT_TRUE(wake_at_) << "the machine has asked for no tick";
  now_ = *wake_at_;
  wake_at_.reset();
  step(TimePassed{});
}

void MasterBench::pass(Duration duration) {
  for (const Instant end = now_ + duration; wake_at_ && *wake_at_ <= end;) tick();
}

void MasterBench::pass_alive(Duration duration, const std::set<std::uint64_t>& silent) {
  for (const Instant end = now_ + duration; wake_at_ && *wake_at_ <= end;) {
    for (const auto& [connection, peer] : ids_)
      if (is_open(connection) && !silent.contains(connection)) frame(connection, wire::Heartbeat{});
    tick();
  }
}

void MasterBench::oversleep(Duration duration) {
  now_ += duration;
  wake_at_.reset();
  step(TimePassed{});
}

std::uint64_t MasterBench::greet(Group group, const IpAddress& from) {
  const std::uint64_t connection = open(from);
  frame(connection, wire::Hello{.group = group, .p2p_port = 48148}, Term{});
  EXPECT_EQ(sent<wire::Welcome>(connection).size(), 1u);
  return connection;
}

std::uint64_t MasterBench::join(Group group, const IpAddress& from) {
  std::vector<std::uint64_t> accepted;
  for (const std::uint64_t peer : accepted_)
    if (is_open(peer)) accepted.push_back(peer);
  const std::uint64_t connection = greet(group, from);
  call_update(accepted);
  links_stand();
  EXPECT_EQ(sent<wire::EpochInstalled>(connection).size(), 1u);
  return connection;
}

std::vector<std::uint64_t> MasterBench::join_many(std::size_t count, Group group) {
  std::vector<std::uint64_t> connections;
  for (std::size_t peer = 0; peer < count; ++peer) connections.push_back(join(group));
  forget_what_was_sent();
  return connections;
}

void MasterBench::call(wire::CallKind what, const std::vector<std::uint64_t>& connections) {
  static std::uint64_t number = 1;
  for (const std::uint64_t connection : connections)
    frame(connection, wire::Call{CallId{number++}, what});
}

void MasterBench::call_update(const std::vector<std::uint64_t>& connections) {
  call(wire::CallKind::update_topology, connections);
}

void MasterBench::answer_question() {
  RingsSolved solved{question_.value().question, {}};
  for (const auto& [group, qualities] : question_->groups)
    solved.rings[group] = plan::best_ring(qualities);
  question_.reset();
  step(solved);
}

void MasterBench::links_stand() {
  const auto all = proposed_;
  for (const auto& [connection, epoch] : all)
    if (is_open(connection)) frame(connection, wire::LinksReady{proposed_[connection]});
}

std::string MasterBench::refusal(std::uint64_t connection) const {
  return last<wire::Refused>(connection).why;
}

std::string MasterBench::removal(std::uint64_t connection) const {
  return last<wire::Removed>(connection).why;
}

PeerId MasterBench::id(std::uint64_t connection) const {
  return ids_.at(connection);
}

std::string MasterBench::noted(const std::string& part) const {
  for (auto note = notes_.rbegin(); note != notes_.rend(); ++note)
    if (note->find(part) != std::string::npos) return *note;
  return "";
}

void MasterBench::forget_what_was_sent() {
  notes_.clear();
  for (auto& [connection, messages] : sent_) messages.clear();
}

namespace {

template <std::size_t... indices>
std::vector<wire::Message> all_kinds(std::index_sequence<indices...>) {
  return {std::variant_alternative_t<indices, wire::Message>{}...};
}

}  // namespace

std::vector<wire::Message> one_of_each_kind(Epoch epoch) {
  auto messages = all_kinds(std::make_index_sequence<std::variant_size_v<wire::Message>>{});
  for (wire::Message& message : messages) {
    if (auto* begin = std::get_if<wire::OpBegin>(&message)) {
      begin->op.epoch = epoch;
      begin->descriptor.count = 100'000;
    }
    if (auto* done = std::get_if<wire::OpDone>(&message)) done->op.epoch = epoch;
    if (auto* call = std::get_if<wire::Call>(&message)) call->call = CallId{1};
  }
  return messages;
}

}  // namespace pccl::membership::test
