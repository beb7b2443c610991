#include "chaos/network.hpp"

#include <stdexcept>
#include <utility>

namespace chaos {

Network::Network(bool with_cuts) {
  if (!with_cuts) return;
  hub_ = std::make_unique<e2e::Namespace>();
  works_ = hub_->works() && hub_->run("sh -c 'echo 1 > /proc/sys/net/ipv4/ip_forward'");
  for (std::size_t i = 0; works_ && i < homes_.size(); ++i) {
    homes_[i] = std::make_unique<e2e::Namespace>();
    works_ = homes_[i]->works() && connect(i);
  }
}

bool Network::connect(std::size_t which) {
  const e2e::Namespace& home = *homes_[which];
  const std::string link = "hub" + std::to_string(which);
  return hub_->ip("link add " + link + " type veth peer name eth netns " +
                  std::to_string(home.keeper())) &&
         hub_->ip("addr add " + net(which) + ".1/24 dev " + link) &&
         hub_->ip("link set " + link + " up") &&
         home.ip("addr add " + address(which) + "/24 dev eth") && home.ip("link set eth up") &&
         home.ip("route add default via " + net(which) + ".1");
}

void Network::change_rules(const std::string& how, std::size_t a, std::size_t b) {
  for (const auto& [from, to] : {std::pair{a, b}, std::pair{b, a}})
    if (!hub_->ip("rule " + how + " from " + address(from) + " to " + address(to) + " blackhole"))
      throw std::runtime_error("ip rule " + how + " failed");
}

}  // namespace chaos
