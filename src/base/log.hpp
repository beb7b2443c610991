// The library's logger: to stderr, "YYYY-mm-dd HH:MM:SS - LEVEL: message", level by PCCL_LOG_LEVEL
// (TRACE, DEBUG, INFO, WARN, ERR, FATAL, NONE; default ERR; an unknown name means NONE).
#pragma once

#include <spdlog/logger.h>

#include <string_view>

namespace pccl {

spdlog::logger* log();  // never null; thread-safe

// Overrides PCCL_LOG_LEVEL. Returns false, and changes nothing, for an unknown name.
bool set_log_level(std::string_view name);

}  // namespace pccl
