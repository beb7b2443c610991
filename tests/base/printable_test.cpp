#include "base/printable.hpp"

#include <gtest/gtest.h>

namespace pccl {
namespace {

TEST(Printable, EscapesControlCharactersAndNothingElse) {
  EXPECT_EQ(printable(""), "");
  EXPECT_EQ(printable("layer.0/weight \"λ\" \\n"), "layer.0/weight \"λ\" \\n");
  EXPECT_EQ(printable("a\nERR: b"), "a\\nERR: b");
  EXPECT_EQ(printable("\t\r\x1b[2J\x7f"), "\\t\\x0d\\x1b[2J\\x7f");
  EXPECT_EQ(printable(std::string_view("\0x", 2)), "\\x00x");
}

}  // namespace
}  // namespace pccl
