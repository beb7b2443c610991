#include "base/log.hpp"

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <array>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "base/printable.hpp"

namespace pccl {

namespace {

using spdlog::level::level_enum;

constexpr std::array<std::pair<std::string_view, level_enum>, 7> level_names{{
    {"TRACE", level_enum::trace},
    {"DEBUG", level_enum::debug},
    {"INFO", level_enum::info},
    {"WARN", level_enum::warn},
    {"ERR", level_enum::err},
    {"FATAL", level_enum::critical},
    {"NONE", level_enum::off},
}};

std::optional<level_enum> level_of(std::string_view name) {
  for (const auto& [text, level] : level_names)
    if (text == name) return level;
  return std::nullopt;
}

// spdlog spells its levels in its own way; the log lines keep the names of PCCL_LOG_LEVEL.
class LevelName final : public spdlog::custom_flag_formatter {
 public:
  void format(const spdlog::details::log_msg& message, const std::tm&,
              spdlog::memory_buf_t& out) override {
    for (const auto& [text, level] : level_names)
      if (level == message.level) out.append(text.data(), text.data() + text.size());
  }
  std::unique_ptr<custom_flag_formatter> clone() const override {
    return std::make_unique<LevelName>();
  }
};

// One message, one line, whatever text from the network it quotes.
class OneLine final : public spdlog::custom_flag_formatter {
 public:
  void format(const spdlog::details::log_msg& message, const std::tm&,
              spdlog::memory_buf_t& out) override {
    const std::string line = printable({message.payload.data(), message.payload.size()});
    out.append(line.data(), line.data() + line.size());
  }
  std::unique_ptr<custom_flag_formatter> clone() const override {
    return std::make_unique<OneLine>();
  }
};

std::shared_ptr<spdlog::logger> make_logger() {
  auto logger =
      std::make_shared<spdlog::logger>("pccl", std::make_shared<spdlog::sinks::stderr_sink_mt>());
  auto formatter = std::make_unique<spdlog::pattern_formatter>();
  formatter->add_flag<LevelName>('*').add_flag<OneLine>('~');
  formatter->set_pattern("%Y-%m-%d %H:%M:%S - %*: %~");
  logger->set_formatter(std::move(formatter));
  const char* const name = std::getenv("PCCL_LOG_LEVEL");
  logger->set_level(name == nullptr ? level_enum::err : level_of(name).value_or(level_enum::off));
  logger->flush_on(level_enum::trace);
  return logger;
}

}  // namespace

spdlog::logger* log() {
  // Never destroyed: detached users of the library may log while the process ends.
  static const auto* const logger = new std::shared_ptr<spdlog::logger>(make_logger());
  return logger->get();
}

bool set_log_level(std::string_view name) {
  const std::optional<level_enum> level = level_of(name);
  if (level) log()->set_level(*level);
  return level.has_value();
}

}  // namespace pccl
