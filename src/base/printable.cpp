#include "base/printable.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

namespace pccl {

namespace {

bool is_control(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte < 0x20 || byte == 0x7f;
}

}  // namespace

std::string printable(std::string_view text) {
  if (std::none_of(text.begin(), text.end(), is_control)) return std::string(text);
  std::string line;
  for (const char c : text) {
    if (!is_control(c))
      line += c;
    else if (c == '\n')
      line += "\\n";
    else if (c == '\t')
      line += "\\t";
    else
      fmt::format_to(std::back_inserter(line), "\\x{:02x}", static_cast<unsigned char>(c));
  }
  return line;
}

}  // namespace pccl
