// The master's process: the real MasterMachine behind simulated connections. It may be killed, and
// started again with no memory.
#pragma once

#include <map>
#include <optional>

#include "membership/master_machine.hpp"
#include "sim/control.hpp"
#include "sim/process.hpp"

namespace pccl::sim {

class MasterHost final : public Process {
 public:
  explicit MasterHost(World& world);

  void opened(Control& control);
  void received(Control& control, wire::Frame frame);
  void closed(Control& control, const std::string& why);
  void kill();   // SIGKILL: its sockets close
  void start();  // again
  const membership::MasterMachine& machine() const { return *machine_; }

 private:
  void step(const membership::MasterEvent& event);
  void carry_out(membership::MasterEffect& effect);
  void sent(const Control& control, const wire::Message& message);
  void heard(const Control& control, const wire::Message& message);
  void closing(Control& control);
  void take_over();

  World& world_;
  Term term_{0};
  std::optional<membership::Recollection> state_file_;
  std::optional<membership::MasterMachine> machine_;
  bool knows_nothing_ =
      false;  // and the ledger does: the peers of the life before are not back yet
  std::map<membership::Connection, Control*> controls_;
  std::map<membership::Connection, PeerId> registered_;
  std::uint64_t timer_ = 0;
  std::string removal_;  // its reason, as the machine last noted it
};

}  // namespace pccl::sim
