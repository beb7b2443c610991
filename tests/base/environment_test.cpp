// What the environment says is taken only when it makes sense; else the default, and a warning.
#include "base/environment.hpp"

#include <gtest/gtest.h>
#include <spdlog/sinks/ostream_sink.h>

#include <cstdlib>
#include <limits>
#include <memory>
#include <optional>
#include <sstream>
#include <string>

#include "base/limits.hpp"
#include "base/log.hpp"

namespace pccl {
namespace {

using namespace std::chrono_literals;

constexpr char variable[] = "PCCL_TEST_VARIABLE";

// Listens to the log, and leaves neither the variables nor the level behind.
class Environment : public testing::Test {
 protected:
  Environment() {
    log()->sinks().push_back(std::make_shared<spdlog::sinks::ostream_sink_st>(heard_));
    set_log_level("WARN");
  }
  ~Environment() override {
    log()->sinks().pop_back();
    set_log_level("ERR");
    for (const char* name : {variable, "PCCL_PEER_TIMEOUT", "PCCL_MASTER_TIMEOUT",
                             "PCCL_CONNECT_TIMEOUT", "PCCL_ALGORITHM"})
      unsetenv(name);
  }
  void set(const char* value) { setenv(variable, value, 1); }
  bool warned(const char* of = variable) {
    const bool any = heard_.str().find(of) != std::string::npos;
    heard_.str({});
    return any;
  }
  Duration as_seconds() { return environment_seconds(variable, 3s, 100ms, 1h); }
  std::uint64_t as_number() { return environment_number(variable, 42, 1, 100); }

 private:
  std::ostringstream heard_;
};

TEST_F(Environment, AnUnsetOrEmptyVariableGivesTheDefaultInSilence) {
  EXPECT_EQ(as_seconds(), 3s);
  EXPECT_EQ(as_number(), 42u);
  set("");
  EXPECT_EQ(as_seconds(), 3s);
  EXPECT_EQ(as_number(), 42u);
  EXPECT_FALSE(warned());
}

TEST_F(Environment, SecondsMayHaveAFraction) {
  const std::pair<const char*, Duration> cases[] = {{"3", 3s},    {"0.5", 500ms}, {"0.1", 100ms},
                                                    {"3600", 1h}, {"1e1", 10s},   {"7.", 7s}};
  for (const auto& [text, expected] : cases) {
    set(text);
    EXPECT_EQ(as_seconds(), expected) << text;
    EXPECT_FALSE(warned()) << text;
  }
}

TEST_F(Environment, SecondsThatMakeNoSenseGiveTheDefault) {
  for (const char* text : {"abc", "3s", "3 ", " 3", "0.05", "3600.1", "-1", "nan", "inf", "-inf",
                           "1e400", "0x10", "+3", "1,5", "--3", "."}) {
    set(text);
    EXPECT_EQ(as_seconds(), 3s) << text;
    EXPECT_TRUE(warned()) << text;
  }
}

TEST_F(Environment, NumbersWithinTheBounds) {
  for (const auto& [text, expected] :
       {std::pair{"1", 1u}, std::pair{"100", 100u}, std::pair{"007", 7u}}) {
    set(text);
    EXPECT_EQ(as_number(), expected) << text;
    EXPECT_FALSE(warned()) << text;
  }
}

TEST_F(Environment, NumbersThatMakeNoSenseGiveTheDefault) {
  for (const char* text :
       {"0", "101", "-5", "1.0", "ten", "5x", " 5", "18446744073709551616", "0x5"}) {
    set(text);
    EXPECT_EQ(as_number(), 42u) << text;
    EXPECT_TRUE(warned()) << text;
  }
  set("18446744073709551615");
  EXPECT_EQ(environment_number(variable, 1, 0, std::numeric_limits<std::uint64_t>::max()),
            std::numeric_limits<std::uint64_t>::max());
}

TEST_F(Environment, TheTimeoutsHaveTheirDocumentedDefaultsAndBounds) {
  EXPECT_EQ(peer_timeout_from_environment(), 3s);
  EXPECT_EQ(master_timeout_from_environment(), 60s);
  EXPECT_EQ(connect_timeout_from_environment(), 0s);
  setenv("PCCL_PEER_TIMEOUT", "0.25", 1);
  setenv("PCCL_MASTER_TIMEOUT", "5", 1);
  setenv("PCCL_CONNECT_TIMEOUT", "12.5", 1);
  EXPECT_EQ(peer_timeout_from_environment(), 250ms);
  EXPECT_EQ(master_timeout_from_environment(), 5s);
  EXPECT_EQ(connect_timeout_from_environment(), 12500ms);
  setenv("PCCL_PEER_TIMEOUT", "0.01", 1);
  setenv("PCCL_MASTER_TIMEOUT", "0", 1);
  setenv("PCCL_CONNECT_TIMEOUT", "-1", 1);
  EXPECT_EQ(peer_timeout_from_environment(), 3s);
  EXPECT_EQ(master_timeout_from_environment(), 60s);
  EXPECT_EQ(connect_timeout_from_environment(), 0s);
}

TEST_F(Environment, AnAlgorithmHasAName) {
  const AlgorithmWish automatic{};
  EXPECT_EQ(algorithm_from_environment(), automatic);
  for (const auto& [text, expected] : {std::pair{"ring", AlgorithmWish{0, false}},
                                       std::pair{"star", AlgorithmWish{limits::star_bytes, {}}},
                                       std::pair{"pairwise", AlgorithmWish{0, true}},
                                       std::pair{"auto", automatic}, std::pair{"", automatic}}) {
    setenv("PCCL_ALGORITHM", text, 1);
    EXPECT_EQ(algorithm_from_environment(), expected) << text;
    EXPECT_FALSE(warned("PCCL_ALGORITHM")) << text;
  }
  setenv("PCCL_ALGORITHM", "tree", 1);
  EXPECT_EQ(algorithm_from_environment(), automatic);
  EXPECT_TRUE(warned("PCCL_ALGORITHM"));
}

}  // namespace
}  // namespace pccl
