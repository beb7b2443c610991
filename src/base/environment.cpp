#include "base/environment.hpp"

#include <charconv>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string_view>

#include "base/limits.hpp"
#include "base/log.hpp"

namespace pccl {

namespace {

template <typename Number>
std::optional<Number> parse(const char* text) {
  Number number{};
  const char* const end = text + std::strlen(text);
  const auto [stopped, error] = std::from_chars(text, end, number);
  if (error != std::errc{} || stopped != end) return std::nullopt;
  return number;
}

}  // namespace

Duration environment_seconds(const char* name, Duration default_value, Duration minimum,
                             Duration maximum) {
  const char* const text = std::getenv(name);
  if (text == nullptr || *text == '\0') return default_value;
  const std::optional<double> number = parse<double>(text);
  if (!number || !std::isfinite(*number) || *number < seconds(minimum) ||
      *number > seconds(maximum)) {
    log()->warn("{}={} is not a number of seconds from {} to {}; using {}", name, text,
                seconds(minimum), seconds(maximum), seconds(default_value));
    return default_value;
  }
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(*number));
}

std::uint64_t environment_number(const char* name, std::uint64_t default_value,
                                 std::uint64_t minimum, std::uint64_t maximum) {
  const char* const text = std::getenv(name);
  if (text == nullptr || *text == '\0') return default_value;
  const std::optional<std::uint64_t> number = parse<std::uint64_t>(text);
  if (!number || *number < minimum || *number > maximum) {
    log()->warn("{}={} is not a whole number from {} to {}; using {}", name, text, minimum, maximum,
                default_value);
    return default_value;
  }
  return *number;
}

bool accept_restored_state_from_environment() {
  return environment_number("PCCL_ACCEPT_RESTORED_STATE", 0, 0, 1) == 1;
}

bool shared_memory_from_environment() {
  return environment_number("PCCL_SHM", 1, 0, 1) == 1;
}

AlgorithmWish algorithm_from_environment() {
  const char* const text = std::getenv("PCCL_ALGORITHM");
  const std::string_view name = text == nullptr ? "" : text;
  if (name == "ring") return {.star_up_to = 0, .pairwise = false};
  if (name == "star") return {.star_up_to = limits::star_bytes};
  if (name == "pairwise") return {.star_up_to = 0, .pairwise = true};
  if (!name.empty() && name != "auto")
    log()->warn("PCCL_ALGORITHM=\"{}\" is none of auto, ring, star and pairwise: auto is taken",
                name);
  return {};
}

std::string congestion_control_from_environment() {
  const char* const name = std::getenv("PCCL_CONGESTION_CONTROL");
  return name == nullptr || *name == '\0' ? "cubic" : name;
}

std::string state_file_from_environment() {
  const char* const path = std::getenv("PCCL_STATE_FILE");
  return path == nullptr ? "" : path;
}

Duration peer_timeout_from_environment() {
  using namespace std::chrono_literals;
  return environment_seconds("PCCL_PEER_TIMEOUT", 3s, 100ms, 1h);
}

Duration master_timeout_from_environment() {
  using namespace std::chrono_literals;
  return environment_seconds("PCCL_MASTER_TIMEOUT", 60s, 100ms, 24h);
}

Duration master_grace_from_environment() {
  using namespace std::chrono_literals;
  return environment_seconds("PCCL_MASTER_GRACE", 1s, 0s, 1h);
}

Duration straggler_timeout_from_environment() {
  using namespace std::chrono_literals;
  return environment_seconds("PCCL_STRAGGLER_TIMEOUT", 0s, 0s, 240h);
}

bool remove_stragglers_from_environment() {
  return environment_number("PCCL_REMOVE_STRAGGLERS", 0, 0, 1) == 1;
}

Duration connect_timeout_from_environment() {
  using namespace std::chrono_literals;
  return environment_seconds("PCCL_CONNECT_TIMEOUT", 0s, 0s, 240h);
}

}  // namespace pccl
