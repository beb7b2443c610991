// Where a master keeps its recollection between two lives.
#pragma once

#include <optional>
#include <string>

#include "base/status.hpp"
#include "membership/recollection.hpp"

namespace pccl::node {

// A file that is not there yet recollects nothing; one that cannot be read or understood is an
// error: a wrong path should not pass for a first start.
Outcome load(const std::string& path, std::optional<membership::Recollection>& recollection);

// Replaces the file at once (rename), so that a reader finds the old text or the new one.
Outcome save(const std::string& path, const membership::Recollection& recollection);

}  // namespace pccl::node
