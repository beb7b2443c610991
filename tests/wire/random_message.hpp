// Messages with random contents, made and compared field by field: whatever messages.hpp declares
// is covered without being named here.
#pragma once

#include <concepts>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "base/limits.hpp"
#include "base/rng.hpp"
#include "wire/codec.hpp"
#include "wire/messages.hpp"

namespace pccl::wire::test {

class Randomizer {
 public:
  explicit Randomizer(std::uint64_t seed) : rng_(seed) {}

  template <std::unsigned_integral Number>
  void fill(Number& number) {
    // The ends of the range are where bytes get lost.
    const std::uint64_t value = rng_.next();
    number = static_cast<Number>(value % 8 == 0 ? 0 : value % 8 == 1 ? ~std::uint64_t{0} : value);
  }
  void fill(bool& flag) { flag = rng_.below(2) == 1; }
  template <typename Enum>
    requires std::is_enum_v<Enum>
  void fill(Enum& value) {
    value = static_cast<Enum>(rng_.below(values_of<Enum>()));
  }
  template <typename Purpose, typename Number>
  void fill(StrongId<Purpose, Number>& id) {
    fill(id.value);
  }
  void fill(PeerId& peer) { peer = {rng_.next(), rng_.next()}; }
  void fill(Digest& digest) { fill(digest.octets); }
  void fill(OpKey& key) {
    fill(key.epoch);
    fill(key.tag);
    fill(key.launch);
  }
  template <std::size_t size>
  void fill(std::array<std::uint8_t, size>& octets) {
    for (auto& octet : octets) fill(octet);
  }
  void fill(Endpoint& endpoint) {
    fill(endpoint.address.v6);
    fill(endpoint.address.octets);
    fill(endpoint.port);
  }
  void fill(std::string& text) {
    text.resize(rng_.chance(0.1) ? limits::reason_bytes : rng_.below(40));
    for (char& letter : text) letter = static_cast<char>(rng_.below(256));
  }
  void fill(std::vector<std::byte>& bytes) {
    bytes.resize(rng_.chance(0.1) ? limits::star_bytes : rng_.below(40));
    for (std::byte& byte : bytes) byte = static_cast<std::byte>(rng_.below(256));
  }
  template <HasFields Struct>
  void fill(std::vector<Struct>& list) {
    list.resize(rng_.chance(0.1) ? 300 : rng_.below(6));
    for (Struct& item : list) fill(item);
  }
  template <HasFields Struct>
  void fill(Struct& item) {
    std::apply([&](auto... field) { (fill(item.*field), ...); }, Struct::fields);
  }

  // The message that stands at `index` in the list of all messages.
  Message message(std::size_t index) {
    Message result;
    make(index, result, std::make_index_sequence<std::variant_size_v<Message>>{});
    return result;
  }

 private:
  template <std::size_t... indices>
  void make(std::size_t wanted, Message& result, std::index_sequence<indices...>) {
    (void)((indices == wanted && (fill(result.emplace<indices>()), true)) || ...);
  }
  Rng rng_;
};

template <HasFields Struct>
bool same_fields(const Struct& a, const Struct& b) {
  return std::apply([&](auto... field) { return ((a.*field == b.*field) && ...); }, Struct::fields);
}

inline bool same(const Message& a, const Message& b) {
  return a.index() == b.index() && std::visit(
                                       [&](const auto& content) {
                                         using Content = std::decay_t<decltype(content)>;
                                         return same_fields(content, std::get<Content>(b));
                                       },
                                       a);
}

}  // namespace pccl::wire::test
