#include "chaos/model.hpp"

#include <algorithm>
#include <cstring>

#include "chaos/mix.hpp"

namespace chaos {

namespace {

void fill(std::byte* at, std::size_t bytes, std::uint64_t seed) {
  for (std::size_t i = 0; i < bytes; i += 8) {
    const std::uint64_t word = mix(seed ^ i);
    std::memcpy(at + i, &word, std::min<std::size_t>(8, bytes - i));
  }
}

}  // namespace

Model::Model(std::size_t bytes, std::uint64_t own)
    : chain_{own, own}, weights_(bytes / 4 * 4), odd_(1003), exempt_{own, own, own} {
  fill(weights_.data(), weights_.size(), own);
}

void Model::advance(const std::vector<std::uint64_t>& results) {
  for (const std::uint64_t result : results) chain_[0] = mix(chain_[0] ^ result);
  ++step_;
  chain_[1] = step_;
  constexpr std::size_t stretch = 50'000;  // less than a block of 256 KiB
  const std::size_t begin = weights_.empty() ? 0 : chain_[0] % weights_.size();
  fill(weights_.data() + begin, std::min(stretch, weights_.size() - begin), chain_[0]);
  fill(odd_.data(), odd_.size(), ~chain_[0]);
}

pcclSharedState_t Model::view() {
  entries_[0] = {"chain", chain_.data(), chain_.size(), pcclUint64, pcclDeviceCpu, false};
  entries_[1] = {"weights", weights_.data(), weights_.size() / 4, pcclFloat, pcclDeviceCpu, false};
  entries_[2] = {"odd", odd_.data(), odd_.size(), pcclInt8, pcclDeviceCpu, false};
  entries_[3] = {"own", exempt_.data(), exempt_.size(), pcclUint64, pcclDeviceCpu, true};
  return {step_, entries_.size(), entries_.data()};
}

std::uint64_t Model::digest() const {
  return mix({chain_[0], chain_[1], chaos::digest(weights_.data(), weights_.size()),
              chaos::digest(odd_.data(), odd_.size())});
}

}  // namespace chaos
