#include "membership/recollection.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/limits.hpp"

namespace pccl::membership {

namespace {

constexpr std::string_view title = "pccl-master 1";

// The next line, without its end; nothing if there is none, or it does not begin so.
std::optional<std::string_view> next_line(std::string_view& text, std::string_view key) {
  const std::size_t end = text.find('\n');
  if (end == std::string_view::npos || !text.starts_with(key)) return std::nullopt;
  const std::string_view value = text.substr(key.size(), end - key.size());
  text.remove_prefix(end + 1);
  return value;
}

std::optional<std::uint64_t> number(std::optional<std::string_view> text, int base = 10) {
  std::uint64_t value = 0;
  if (!text) return std::nullopt;
  const char* const end = text->data() + text->size();
  const auto [stop, error] = std::from_chars(text->data(), end, value, base);
  if (text->empty() || error != std::errc{} || stop != end) return std::nullopt;
  return value;
}

std::optional<PeerId> peer(std::optional<std::string_view> text) {
  if (!text || text->size() != 32) return std::nullopt;
  const auto high = number(text->substr(0, 16), 16), low = number(text->substr(16), 16);
  if (!high || !low) return std::nullopt;
  return PeerId{*high, *low};
}

}  // namespace

std::string to_text(const Recollection& recollection) {
  std::string text =
      fmt::format("{}\nterm {}\nrun {}\nmembers {}\n", title, recollection.term.value,
                  recollection.run.value, recollection.members.size());
  for (const PeerId member : recollection.members) text += to_string(member) + "\n";
  return text;
}

std::optional<Recollection> recollection_of(std::string_view text) {
  if (next_line(text, title) != "") return std::nullopt;
  const auto term = number(next_line(text, "term "));
  const auto run = number(next_line(text, "run "));
  const auto members = number(next_line(text, "members "));
  if (!term || !run || !members || *members > limits::peers ||
      std::max(*term, *run) >= limits::highest_term)
    return std::nullopt;
  Recollection recollection{Term{*term}, Term{*run}, {}};
  for (std::uint64_t i = 0; i < *members; ++i) {
    const auto member = peer(next_line(text, ""));
    if (!member) return std::nullopt;
    recollection.members.push_back(*member);
  }
  if (!text.empty()) return std::nullopt;
  return recollection;
}

}  // namespace pccl::membership
