#include "chaos/crew.hpp"

#include <signal.h>

#include <algorithm>

#include "chaos/violation.hpp"

namespace chaos {

Crew::Crew(const CrewOptions& options) : options_(options), network_(options.with_cuts) {
  e2e::RunOptions run;
  run.peer_timeout_s = options.peer_timeout_s;
  run.host = network_.master_host();
  run.master_namespace = network_.place(master_place);
  run_ = std::make_unique<e2e::LiveRun>(run);
}

std::vector<Member*> Crew::living() {
  std::vector<Member*> living;
  for (const auto& member : members_)
    if (member) living.push_back(member.get());
  return living;
}

void Crew::join(std::uint32_t slot) {
  auto member = std::make_unique<Member>();
  member->id = next_id_++;
  member->slot = slot;
  member->progress = member->disturbed = Clock::now();
  e2e::Process::Options options;
  options.environment = {{"PCCL_PEER_TIMEOUT", std::to_string(options_.peer_timeout_s)},
                         {"PCCL_SHM", member->id % 3 == 2 ? "0" : "1"},
                         {"PCCL_LOG_LEVEL", "INFO"}};
  options.network_namespace = network_.place(slot);
  member->process = std::make_unique<e2e::Process>(
      "peer " + std::to_string(member->id) + " in slot " + std::to_string(slot),
      std::vector<std::string>{
          CHAOS_PEER, network_.master_host(), std::to_string(run_->port()),
          std::to_string(member->id), std::to_string(slot), std::to_string(options_.run_seed),
          std::to_string(options_.largest_op_bytes), std::to_string(options_.state_bytes)},
      options);
  members_[slot] = std::move(member);
}

void Crew::kill(std::uint32_t slot) {
  members_[slot]->process->kill();
  gone_.push_back(std::move(members_[slot]));
}

void Crew::stop(std::uint32_t slot) {
  members_[slot]->process->signal(SIGSTOP);
  members_[slot]->stopped = true;
}

void Crew::go_on(std::uint32_t slot) {
  members_[slot]->process->signal(SIGCONT);
  members_[slot]->stopped = false;
  disturb(slot);
}

void Crew::leave(std::uint32_t slot) {
  members_[slot]->process->say("leave");
  members_[slot]->leaving = true;
  disturb(slot);
}

void Crew::disturb(std::uint32_t slot) {
  if (members_[slot]) members_[slot]->disturbed = Clock::now();
}

void Crew::cut(std::size_t a, std::size_t b) {
  network_.cut(a, b);
  cuts_.emplace_back(a, b);
}

void Crew::heal(std::size_t a, std::size_t b) {
  network_.heal(a, b);
  std::erase(cuts_, std::pair{a, b});
  for (const std::size_t end : {a, b})
    if (end < slots) disturb(static_cast<std::uint32_t>(end));
}

bool Crew::is_cut(std::uint32_t slot) const {
  return std::any_of(cuts_.begin(), cuts_.end(),
                     [&](const auto& pair) { return pair.first == slot || pair.second == slot; });
}

void Crew::kill_master() {
  run_->master().kill();
  has_master_ = false;
}

void Crew::start_master() {
  run_->start_master();
  has_master_ = true;
  master_since_ = Clock::now();
}

void Crew::end_master() {
  run_->master().signal(SIGTERM);
  const int code = run_->master().wait_for_end();
  if (code != 0) throw Violation("the master ended with " + std::to_string(code));
}

void Crew::read(Member& member, const Listener& listener) {
  while (const auto line = member.process->next()) listener(member, *line);
}

void Crew::read_all(const Listener& listener) {
  for (auto& member : members_) {
    if (!member) continue;
    const bool ended = member->process->has_ended();
    read(*member, listener);
    if (!ended) continue;
    const int code = member->process->wait_for_end();
    if (code != 0 || !member->leaving)
      throw Violation(member->process->name() + " has ended with " + std::to_string(code));
    gone_.push_back(std::move(member));
  }
  for (auto& member : std::exchange(gone_, {})) {
    read(*member, listener);
    constexpr std::size_t remembered = 6;
    obituaries_.push_back(member->process->transcript(4000));
    if (obituaries_.size() > remembered) obituaries_.erase(obituaries_.begin());
  }
}

std::string Crew::transcripts(std::size_t most) {
  std::string all;
  for (const Member* member : living()) all += member->process->transcript(most);
  for (const std::string& obituary : obituaries_) all += "(gone) " + obituary;
  return all + run_->master().transcript(most);
}

}  // namespace chaos
