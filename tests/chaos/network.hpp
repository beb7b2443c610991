// Where the peers and the master live. With namespaces each has one of its own, all meet in a hub,
// and the path between any two can be cut without a word; else all share the loopback and nothing
// can be cut.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <string>

#include "chaos/round.hpp"
#include "e2e/network_namespace.hpp"

namespace chaos {

inline constexpr std::size_t master_place = slots;  // the peers' places are their slots

class Network {
 public:
  explicit Network(bool with_cuts);

  bool can_cut() const { return works_; }
  int place(std::size_t which) const { return works_ ? homes_[which]->fd() : -1; }
  std::string master_host() const { return works_ ? address(master_place) : "127.0.0.1"; }
  void cut(std::size_t a, std::size_t b) { change_rules("add", a, b); }
  void heal(std::size_t a, std::size_t b) { change_rules("del", a, b); }

 private:
  static std::string net(std::size_t which) { return "10.79." + std::to_string(which + 1); }
  static std::string address(std::size_t which) { return net(which) + ".2"; }
  bool connect(std::size_t which);
  void change_rules(const std::string& how, std::size_t a, std::size_t b);

  bool works_ = false;
  std::unique_ptr<e2e::Namespace> hub_;
  std::array<std::unique_ptr<e2e::Namespace>, slots + 1> homes_;
};

}  // namespace chaos
