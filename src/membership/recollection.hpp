// What a master may keep of its life for the next one (pccl-master --state-file): whom to wait for.
// What has become of the run only its peers know, with a recollection or without.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.hpp"

namespace pccl::membership {

struct Recollection {
  Term term;                    // of the life that it is of
  Term run;                     // of the master that began the run
  std::vector<PeerId> members;  // all accepted peers, in order
  bool operator==(const Recollection&) const = default;
};

// Lines of text; what was cut short or changed by hand is not read as another recollection.
std::string to_text(const Recollection& recollection);
std::optional<Recollection> recollection_of(std::string_view text);

}  // namespace pccl::membership
