// Digests are XXH3-128 in canonical form, however the bytes are handed over.
#include "kernels/digest.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "base/rng.hpp"

namespace pccl::kernels {
namespace {

std::vector<std::byte> bytes_of(std::string_view text) {
  std::vector<std::byte> bytes(text.size());
  if (!text.empty()) std::memcpy(bytes.data(), text.data(), text.size());
  return bytes;
}

// From the reference implementation's library (xxHash 0.8.1).
TEST(Digest, IsXxh3InCanonicalForm) {
  EXPECT_EQ(to_string(digest({})), "99aa06d3014798d86001c324468d497f");
  EXPECT_EQ(to_string(digest(bytes_of("abc"))), "06b05ab6733a618578af5f94892f3950");
  std::vector<std::byte> sevens(1000);
  for (std::size_t index = 0; index < sevens.size(); ++index)
    sevens[index] = static_cast<std::byte>(index * 7 % 256);
  EXPECT_EQ(to_string(digest(sevens)), "abee229cdadad76d10ad30264426c830");
}

TEST(Digest, OfPartsIsTheDigestOfTheWhole) {
  Rng rng(1);
  Digester digester;
  EXPECT_EQ(digester.finish(), digest({}));
  for (int round = 0; round < 200; ++round) {
    std::vector<std::byte> bytes(rng.below(round < 100 ? 600 : 5000));
    for (std::byte& one : bytes) one = static_cast<std::byte>(rng.below(256));
    for (std::span<const std::byte> rest = bytes; !rest.empty();) {
      const std::size_t part = std::min<std::size_t>(rest.size(), rng.below(300));
      digester.add(rest.first(part));
      rest = rest.subspan(part);
    }
    EXPECT_EQ(digester.finish(), digest(bytes)) << bytes.size();
  }
}

TEST(Digest, TellsEveryBitApart) {
  for (const std::size_t length : {1, 16, 17, 129, 241, 1025}) {
    std::vector<std::byte> bytes(length);
    const Digest before = digest(bytes);
    for (std::size_t at = 0; at < length; ++at) {
      bytes[at] ^= std::byte{0x10};
      EXPECT_NE(digest(bytes), before) << "byte " << at << " of " << length;
      bytes[at] ^= std::byte{0x10};
    }
  }
}

TEST(Digest, DoesNotDependOnAlignment) {
  Rng rng(2);
  std::vector<std::byte> memory(4096 + 64);
  for (std::byte& one : memory) one = static_cast<std::byte>(rng.below(256));
  const std::vector<std::byte> content(memory.begin(), memory.begin() + 4000);
  const Digest expected = digest(content);
  for (std::size_t shift = 0; shift < 64; ++shift) {
    std::memcpy(memory.data() + shift, content.data(), content.size());
    EXPECT_EQ(digest(std::span(memory).subspan(shift, content.size())), expected) << shift;
  }
}

}  // namespace
}  // namespace pccl::kernels
