// What a master keeps for its next life, as text.
#include "membership/recollection.hpp"

#include <gtest/gtest.h>

namespace pccl::membership {
namespace {

const Recollection three{
    Term{7}, Term{5}, {{1, 2}, {0xfedcba9876543210, 0xffffffffffffffff}, {3, 4}}};

TEST(Recollection, IsReadAsItWasWritten) {
  EXPECT_EQ(recollection_of(to_text(three)), three);
  EXPECT_EQ(recollection_of(to_text({})), Recollection{});
}

TEST(Recollection, OfHalfAFileIsNone) {
  const std::string text = to_text(three);
  for (std::size_t length = 0; length < text.size(); ++length)
    EXPECT_FALSE(recollection_of(text.substr(0, length))) << length;
}

TEST(Recollection, OfSomethingElseIsNone) {
  const std::string text = to_text(three);
  for (const char* other : {"", "\n", "pccl-master 2\n", "term 7\n"})
    EXPECT_FALSE(recollection_of(other));
  EXPECT_FALSE(recollection_of(text + "\n"));
  EXPECT_FALSE(recollection_of(text + to_string(PeerId{5, 6}) + "\n"));
  for (std::size_t at = 0; at < text.size(); ++at) {
    std::string changed = text;
    changed[at] = 'x';
    EXPECT_FALSE(recollection_of(changed)) << at;
  }
  EXPECT_FALSE(recollection_of("pccl-master 1\nterm 1\nrun 1\nmembers 18446744073709551615\n"));
  EXPECT_FALSE(recollection_of("pccl-master 1\nterm -1\nrun 1\nmembers 0\n"));
}

}  // namespace
}  // namespace pccl::membership
