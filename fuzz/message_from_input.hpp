// Messages made from a fuzz input, of numbers that are likely to matter: small tags and launches,
// epochs around the current one, peers that exist. Whatever messages.hpp declares is covered.
#pragma once

#include <string>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include "base/limits.hpp"
#include "input.hpp"
#include "wire/codec.hpp"
#include "wire/messages.hpp"

namespace pccl::fuzz {

struct World {  // what a sender may know
  Epoch epoch;
  std::vector<PeerId> peers;
};

class MessageSource {
 public:
  MessageSource(Input& input, const World& world) : input_(input), world_(world) {}

  wire::Message message() {
    wire::Message result;
    make(input_.below(std::variant_size_v<wire::Message>), result,
         std::make_index_sequence<std::variant_size_v<wire::Message>>{});
    return result;
  }

  template <wire::HasFields Struct>
  void fill(Struct& item) {
    std::apply([&](auto... field) { (fill(item.*field), ...); }, Struct::fields);
    if constexpr (std::is_same_v<Struct, wire::Hello> || std::is_same_v<Struct, wire::Resume> ||
                  std::is_same_v<Struct, wire::LaneHello>) {
      if (input_.below(8) != 0) item.magic = wire::magic, item.version = wire::protocol_version;
    }
    // Random input of a star nearly never has the right size.
    if constexpr (std::is_same_v<Struct, wire::OpBegin>) {
      const auto& what = item.descriptor;
      if (what.algorithm == wire::Algorithm::ring)
        item.input.clear();
      else if (what.count <= limits::star_bytes && input_.below(8) != 0)
        item.input.resize(what.count * size_of(what.type));
    }
  }

 private:
  template <std::size_t... indices>
  void make(std::size_t wanted, wire::Message& result, std::index_sequence<indices...>) {
    (void)((indices == wanted && (fill(result.emplace<indices>()), true)) || ...);
  }

  template <std::unsigned_integral Number>
  void fill(Number& number) {
    constexpr std::uint64_t choices[] = {0, 1, 2, 3, 1000, 0x2000000000000001, ~std::uint64_t{0}};
    number = static_cast<Number>(input_.pick(choices));
  }
  void fill(bool& flag) { flag = input_.below(2) == 1; }
  template <typename Enum>
    requires std::is_enum_v<Enum>
  void fill(Enum& value) {
    value = static_cast<Enum>(input_.below(wire::values_of<Enum>()));
  }
  template <typename Purpose, typename Number>
  void fill(StrongId<Purpose, Number>& id) {
    id.value = static_cast<Number>(input_.below(4));
  }
  void fill(Epoch& epoch) { epoch.value = world_.epoch.value + input_.below(4) - 1; }
  void fill(PeerId& peer) {
    const std::size_t which = input_.below(world_.peers.size() + 1);
    peer = which < world_.peers.size() ? world_.peers[which] : PeerId{1, 2};
  }
  void fill(Digest& digest) { fill(digest.octets); }
  void fill(OpKey& key) {
    fill(key.epoch);
    fill(key.tag);
    fill(key.launch);
    if (input_.below(4) != 0) key.epoch = world_.epoch;
  }
  template <std::size_t size>
  void fill(std::array<std::uint8_t, size>& octets) {
    octets[0] = input_.take<std::uint8_t>();
  }
  void fill(Endpoint& endpoint) { endpoint.port = input_.take<std::uint16_t>(); }
  void fill(std::string& text) { text.assign(input_.below(256) * 8, 'x'); }
  void fill(std::vector<std::byte>& bytes) { bytes.resize(input_.below(64)); }
  template <wire::HasFields Struct>
  void fill(std::vector<Struct>& list) {
    list.resize(input_.below(6));
    for (Struct& item : list) fill(item);
  }

  Input& input_;
  const World& world_;
};

}  // namespace pccl::fuzz
