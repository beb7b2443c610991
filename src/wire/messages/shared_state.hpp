// Shared state: offers, the election, what is to be fetched and from whom.
#pragma once

#include <cstdint>
#include <string>
#include <tuple>
#include <vector>

#include "base/digest.hpp"
#include "base/dtype.hpp"
#include "base/endpoint.hpp"
#include "base/ids.hpp"
#include "base/status.hpp"
#include "base/sync_strategy.hpp"
#include "wire/messages/common.hpp"

namespace pccl::wire {

// peer → master: the application is in pcclSynchronizeSharedState with this. It is a unanimous call
// of the group, and this peer's vote in the election of the content.
struct SyncOffer {
  static constexpr Kind kind = Kind::sync_offer;
  CallId call;
  SyncStrategy strategy = SyncStrategy::enforce_popular;
  Revision revision;
  Digest keys;        // of the names, types and sizes of the entries
  Digest content;     // of the bytes of all entries that must be equal
  bool whole = true;  // false: a sync that broke off has left it a mixture, which nobody may elect
  bool elected = false;  // in this call, by a master that was restarted since
  static constexpr auto fields =
      std::tuple{&SyncOffer::call,    &SyncOffer::strategy, &SyncOffer::revision, &SyncOffer::keys,
                 &SyncOffer::content, &SyncOffer::whole,    &SyncOffer::elected};
};

struct StateHolder {
  PeerId peer;
  Endpoint state;  // where it serves the shared state
  static constexpr auto fields = std::tuple{&StateHolder::peer, &StateHolder::state};
  bool operator==(const StateHolder&) const = default;
};

// master → members: this content was elected. Members without it fetch it; sent again, to them,
// when the holders change.
struct SyncElected {
  static constexpr Kind kind = Kind::sync_elected;
  CallId call;
  Revision revision;
  Digest content;
  Token token{};                     // opens the doors of the holders
  std::vector<StateHolder> holders;  // at most so many as anybody needs
  static constexpr auto fields =
      std::tuple{&SyncElected::call, &SyncElected::revision, &SyncElected::content,
                 &SyncElected::token, &SyncElected::holders};
};

// peer → master: I hold the elected content, every block verified; or I cannot get it, or, of a
// holder, no longer serve it.
struct SyncDone {
  static constexpr Kind kind = Kind::sync_done;
  CallId call;
  Token token{};  // of the election
  // peer_lost: no holder can be reached; invalid_usage: one has sent other bytes than were elected;
  // internal: this peer itself cannot go on.
  Status status = Status::ok;
  std::string why;
  static constexpr auto fields =
      std::tuple{&SyncDone::call, &SyncDone::token, &SyncDone::status, &SyncDone::why};
};

// master → members: how the sync ended, the same for everyone. peer → restarted master: the newest
// that it knows of.
struct SyncResult {
  static constexpr Kind kind = Kind::sync_result;
  CallId call;
  CallRound round;  // the syncs of the group in the order of their results
  Status status = Status::ok;
  bool synchronised = false;  // ever; then
  Revision revision;          // of the last sync that ended well, this one included,
  Digest content;             // and this is what it elected
  std::string why;
  static constexpr auto fields = std::tuple{
      &SyncResult::call,     &SyncResult::round,   &SyncResult::status, &SyncResult::synchronised,
      &SyncResult::revision, &SyncResult::content, &SyncResult::why};
};

// master → members: your states differ in more than their bytes; what are they made of?
struct StateWanted {
  static constexpr Kind kind = Kind::state_wanted;
  CallId call;
  std::uint64_t from = 0;  // entry
  static constexpr auto fields = std::tuple{&StateWanted::call, &StateWanted::from};
};

struct StateEntry {
  std::string name;
  DataType type = DataType::uint8;
  std::uint64_t count = 0;
  bool may_differ = false;  // neither compared nor sent
  static constexpr auto fields =
      std::tuple{&StateEntry::name, &StateEntry::type, &StateEntry::count, &StateEntry::may_differ};
  bool operator==(const StateEntry&) const = default;
};

// peer → master: of this. Only so that an error can name the first difference.
struct StateDescribed {
  static constexpr Kind kind = Kind::state_described;
  CallId call;
  std::uint64_t total = 0;          // entries; of which
  std::uint64_t from = 0;           // from this one on
  std::vector<StateEntry> entries;  // as many as fit
  static constexpr auto fields = std::tuple{&StateDescribed::call, &StateDescribed::total,
                                            &StateDescribed::from, &StateDescribed::entries};
};

// peer → holder, first frame at its door; answered by a lane_welcome or refused. The bulk frames of
// bulk.hpp follow.
struct HolderHello {
  static constexpr Kind kind = Kind::holder_hello;
  std::uint32_t magic = wire::magic;
  std::uint16_t version = protocol_version;
  Token token{};
  PeerId from;
  static constexpr auto fields = std::tuple{&HolderHello::magic, &HolderHello::version,
                                            &HolderHello::token, &HolderHello::from};
};

}  // namespace pccl::wire
