// Messages to bytes and back, little-endian, driven by each message's `fields`. Decoding trusts
// nothing: every length is checked against what has arrived before memory is taken, every enum
// against its range, and a payload must be used up exactly.
#pragma once

#include <algorithm>
#include <bit>
#include <concepts>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "base/limits.hpp"
#include "wire/messages.hpp"

namespace pccl::wire {

using Bytes = std::vector<std::byte>;

template <typename T>
concept HasFields = requires { T::fields; };

template <typename Enum>
constexpr std::uint8_t values_of() {
  if constexpr (std::is_same_v<Enum, DataType>) return data_type_count;
  if constexpr (std::is_same_v<Enum, RedOp>) return red_op_count;
  if constexpr (std::is_same_v<Enum, QuantizationAlgorithm>) return quantization_algorithm_count;
  if constexpr (std::is_same_v<Enum, Code>) return code_count;
  if constexpr (std::is_same_v<Enum, CallKind>) return call_kind_count;
  if constexpr (std::is_same_v<Enum, EpochReason>) return epoch_reason_count;
  if constexpr (std::is_same_v<Enum, LinkFault>) return link_fault_count;
  if constexpr (std::is_same_v<Enum, Algorithm>) return algorithm_count;
  if constexpr (std::is_same_v<Enum, OpOutcome>) return op_outcome_count;
  if constexpr (std::is_same_v<Enum, SyncStrategy>) return sync_strategy_count;
  if constexpr (std::is_same_v<Enum, Status>)
    return static_cast<std::uint8_t>(Status::internal) + 1;
}

class Encoder {
 public:
  explicit Encoder(Bytes& out) : out_(out) {}

  template <std::unsigned_integral Number>
  void put(Number number) {
    for (std::size_t byte = 0; byte < sizeof(Number); ++byte)
      out_.push_back(static_cast<std::byte>(number >> (8 * byte)));
  }
  void put(bool flag) { put(static_cast<std::uint8_t>(flag)); }
  template <typename Enum>
    requires std::is_enum_v<Enum>
  void put(Enum value) {
    put(static_cast<std::uint8_t>(value));
  }
  template <typename Purpose, typename Number>
  void put(StrongId<Purpose, Number> id) {
    put(id.value);
  }
  void put(const PeerId& peer) {
    put(peer.high);
    put(peer.low);
  }
  void put(const Digest& digest) { put(digest.octets); }
  void put(const OpKey& key) {
    put(key.epoch);
    put(key.tag);
    put(key.launch);
  }
  template <std::size_t size>
  void put(const std::array<std::uint8_t, size>& octets) {
    append(octets.data(), size);
  }
  void put(const Endpoint& endpoint) {
    put(endpoint.address.v6);
    put(endpoint.address.octets);
    put(endpoint.port);
  }
  void put(const std::string& text) {
    const std::size_t length = std::min(text.size(), limits::reason_bytes);
    put(static_cast<std::uint16_t>(length));
    append(text.data(), length);
  }
  void put(const Bytes& bytes) {
    put(static_cast<std::uint32_t>(bytes.size()));
    append(bytes.data(), bytes.size());
  }
  template <HasFields Struct>
  void put(const std::vector<Struct>& list) {
    put(static_cast<std::uint16_t>(list.size()));
    for (const Struct& item : list) put(item);
  }
  template <HasFields Struct>
  void put(const Struct& item) {
    std::apply([&](auto... field) { (put(item.*field), ...); }, Struct::fields);
  }

 private:
  void append(const void* data, std::size_t length) {
    const auto* const bytes = static_cast<const std::byte*>(data);
    out_.insert(out_.end(), bytes, bytes + length);
  }
  Bytes& out_;
};

// Once something does not fit, `ok()` is false for good and nothing more is read.
class Decoder {
 public:
  explicit Decoder(std::span<const std::byte> in) : in_(in) {}

  bool ok() const { return ok_; }
  bool used_up() const { return ok_ && in_.empty(); }

  template <std::unsigned_integral Number>
  void get(Number& number) {
    const auto bytes = take(sizeof(Number));
    number = 0;
    for (std::size_t byte = 0; byte < bytes.size(); ++byte)
      number = static_cast<Number>(
          number | static_cast<Number>(static_cast<Number>(bytes[byte]) << (8 * byte)));
  }
  void get(bool& flag) {
    std::uint8_t value = 0;
    get(value);
    if (value > 1) fail();
    flag = value == 1;
  }
  template <typename Enum>
    requires std::is_enum_v<Enum>
  void get(Enum& result) {
    std::uint8_t value = 0;
    get(value);
    if (value >= values_of<Enum>()) return fail();
    result = static_cast<Enum>(value);
  }
  template <typename Purpose, typename Number>
  void get(StrongId<Purpose, Number>& id) {
    get(id.value);
  }
  void get(PeerId& peer) {
    get(peer.high);
    get(peer.low);
  }
  void get(Digest& digest) { get(digest.octets); }
  void get(OpKey& key) {
    get(key.epoch);
    get(key.tag);
    get(key.launch);
  }
  template <std::size_t size>
  void get(std::array<std::uint8_t, size>& octets) {
    copy(octets.data(), take(size));
  }
  void get(Endpoint& endpoint) {
    get(endpoint.address.v6);
    get(endpoint.address.octets);
    get(endpoint.port);
  }
  void get(std::string& text) {
    std::uint16_t length = 0;
    get(length);
    if (length > limits::reason_bytes) return fail();
    const auto bytes = take(length);
    text.assign(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  void get(Bytes& result) {
    std::uint32_t length = 0;
    get(length);
    const auto bytes = take(length);
    result.assign(bytes.begin(), bytes.end());
  }
  template <HasFields Struct>
  void get(std::vector<Struct>& list) {
    std::uint16_t length = 0;
    get(length);
    if (length > in_.size()) return fail();  // every item takes a byte or more
    list.clear();
    for (std::uint16_t index = 0; ok_ && index < length; ++index) get(list.emplace_back());
  }
  template <HasFields Struct>
  void get(Struct& item) {
    std::apply([&](auto... field) { (get(item.*field), ...); }, Struct::fields);
  }

 private:
  void fail() {
    ok_ = false;
    in_ = {};
  }
  std::span<const std::byte> take(std::size_t length) {
    if (length > in_.size()) {
      fail();
      return {};
    }
    const auto taken = in_.first(length);
    in_ = in_.subspan(length);
    return taken;
  }
  static void copy(void* into, std::span<const std::byte> bytes) {
    if (!bytes.empty()) std::memcpy(into, bytes.data(), bytes.size());
  }
  std::span<const std::byte> in_;
  bool ok_ = true;
};

}  // namespace pccl::wire
