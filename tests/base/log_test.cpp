// Level names and the shape of a line. PCCL_LOG_LEVEL is read once per process, so its cases run in
// processes of their own.
#include "base/log.hpp"

#include <gtest/gtest.h>

#include <cstdlib>

namespace pccl {
namespace {

using spdlog::level::level_enum;

TEST(Log, TakesTheNamesOfTheContractAndNoOthers) {
  const std::pair<const char*, level_enum> cases[] = {
      {"TRACE", level_enum::trace}, {"DEBUG", level_enum::debug}, {"INFO", level_enum::info},
      {"WARN", level_enum::warn},   {"ERR", level_enum::err},     {"FATAL", level_enum::critical},
      {"NONE", level_enum::off}};
  for (const auto& [name, level] : cases) {
    EXPECT_TRUE(set_log_level(name)) << name;
    EXPECT_EQ(log()->level(), level) << name;
  }
  set_log_level("WARN");
  for (const char* name : {"", "warn", "WARNING", "ERROR", "ERR ", "OFF", "3"}) {
    EXPECT_FALSE(set_log_level(name)) << name;
    EXPECT_EQ(log()->level(), level_enum::warn) << "changed by " << name;
  }
  set_log_level("ERR");
}

int level_with(const char* name) {
  if (name == nullptr)
    unsetenv("PCCL_LOG_LEVEL");
  else
    setenv("PCCL_LOG_LEVEL", name, 1);
  return log()->level();
}

class LogDeathTest : public testing::TestWithParam<std::pair<const char*, level_enum>> {
 protected:
  LogDeathTest() { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

TEST_P(LogDeathTest, StartsAtTheLevelOfTheEnvironment) {
  const auto [name, level] = GetParam();
  EXPECT_EXIT(std::_Exit(level_with(name)), testing::ExitedWithCode(level), "");
}

INSTANTIATE_TEST_SUITE_P(
    Names, LogDeathTest,
    testing::Values(std::pair{nullptr, level_enum::err}, std::pair{"TRACE", level_enum::trace},
                    std::pair{"FATAL", level_enum::critical}, std::pair{"NONE", level_enum::off},
                    std::pair{"verbose", level_enum::off}, std::pair{"", level_enum::off}));

TEST(LogLineDeathTest, CarriesTheTimeTheLevelAndTheMessage) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        level_with("WARN");
        log()->info("hidden");
        log()->warn("a {} of warning", "word");
        log()->error("and more:\n2026-01-01 00:00:00 - ERR: {}", "forged");
        log()->critical("the end");
        std::_Exit(0);
      },
      testing::ExitedWithCode(0),
      "^[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2} - WARN: a word of warning\n"
      "[-0-9: ]+ - ERR: and more:.n2026-01-01 00:00:00 - ERR: forged\n"
      "[-0-9: ]+ - FATAL: the end\n$");
}

}  // namespace
}  // namespace pccl
