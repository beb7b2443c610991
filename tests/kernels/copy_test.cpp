#include "kernels/copy.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <span>
#include <vector>

namespace pccl::kernels {
namespace {

TEST(CopyPastCaches, CopiesThatMuchFromAnywhereToAnywhere) {
  std::vector<std::byte> from(1000), to(1000);
  for (std::size_t i = 0; i < from.size(); ++i) from[i] = static_cast<std::byte>(i * 7 + 1);
  for (std::size_t at = 0; at < 70; ++at)
    for (const std::size_t skipped : {0u, 1u, 8u, 63u})
      for (const std::size_t bytes : {0u, 1u, 5u, 63u, 64u, 65u, 127u, 128u, 500u, 800u}) {
        std::ranges::fill(to, std::byte{0});
        copy_past_caches(to.data() + at, from.data() + skipped, bytes);
        const auto copied = std::span(to).subspan(at, bytes);
        ASSERT_TRUE(std::ranges::equal(copied, std::span(from).subspan(skipped, bytes)));
        const auto nonzero =
            std::ranges::count_if(to, [](std::byte b) { return b != std::byte{0}; });
        const auto expected =
            std::ranges::count_if(copied, [](std::byte b) { return b != std::byte{0}; });
        ASSERT_EQ(nonzero, expected) << "beside them nothing has changed";
      }
}

}  // namespace
}  // namespace pccl::kernels
