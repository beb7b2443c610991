// Who watches the simulator: each planted bug must be caught, within 2,000 seeds.
#include <gtest/gtest.h>

#include "sim/many_storms.hpp"
#include "sim/mutants.hpp"

namespace pccl::sim {
namespace {

class Mutants : public testing::TestWithParam<std::pair<Mutant, std::string_view>> {
  void TearDown() override { active_mutant = Mutant::none; }
};

TEST_P(Mutants, IsCaught) {
  active_mutant = GetParam().first;
  for (std::uint64_t seed = 1; seed <= 2000; ++seed) {
    const StormResult result = run_storm({.seed = seed});
    if (result.ok()) continue;
    std::printf("%-28s seed %-5llu %s\n", std::string(GetParam().second).c_str(),
                static_cast<unsigned long long>(seed), result.text.substr(0, 160).c_str());
    return;
  }
  FAIL() << GetParam().second << " lives";
}

INSTANTIATE_TEST_SUITE_P(All, Mutants, testing::ValuesIn(mutants),
                         [](const auto& mutant) { return std::string(mutant.param.second); });

TEST(WithoutMutants, TheSameSeedsAreGreen) {
  const Summary summary = run_storms(1, 50, 2);
  for (const Failure& failure : summary.failures) ADD_FAILURE() << failure.result.text;
}

}  // namespace
}  // namespace pccl::sim
