// A fetch without lanes between: the test itself says what each holder sends, frame by frame.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <string>

#include "shared_state/fetch.hpp"
#include "shared_state/state.hpp"

namespace pccl::shared_state::test {

struct DirectFetch {
  DirectFetch(const Tensors& elected_content, Tensors own_content, std::uint32_t block_bytes)
      : elected(elected_content, block_bytes),
        own(std::move(own_content), block_bytes),
        fetch(own.views, own.map, own.digest.blocks, elected.digest.content) {}

  static PeerId source(std::uint64_t number) { return {1, number}; }

  std::optional<Request> request(std::uint64_t from, Duration at = {}) {
    return fetch.next_request(source(from), Instant{} + at);
  }
  Bytes content(const Request& request) const {
    if (request.what == What::block) return elected.block(request.index);
    const auto digests =
        std::as_bytes(std::span(elected.digest.blocks).subspan(request.index, request.count));
    return {digests.begin(), digests.end()};
  }
  static Answer answer_to(const Request& request, std::size_t length) {
    return {request.what, request.index, static_cast<std::uint32_t>(length)};
  }
  Answer begin(std::uint64_t from, const Request& request) {
    const Answer answer = answer_to(request, content(request).size());
    std::string why;
    EXPECT_TRUE(fetch.answer_begins(source(from), answer, why)) << why;
    return answer;
  }
  // Puts bytes [begin, end) of the payload where the fetch wants them; false: it does not.
  bool put(std::uint64_t from, const Answer& answer, const Bytes& bytes, std::size_t begin,
           std::size_t end) {
    const auto place = fetch.destination(source(from), answer, begin);
    if (place.empty()) return false;
    EXPECT_EQ(place.size(), answer.length - begin);
    std::copy(bytes.begin() + static_cast<std::ptrdiff_t>(begin),
              bytes.begin() + static_cast<std::ptrdiff_t>(end), place.begin());
    return true;
  }
  void end(std::uint64_t from, const Answer& answer, Duration at = {}) {
    fetch.answer_arrived(source(from), answer, Instant{} + at);
  }
  void send(std::uint64_t from, const Request& request, const Bytes& bytes, Duration at = {}) {
    const Answer answer = begin(from, request);
    put(from, answer, bytes, 0, bytes.size());
    end(from, answer, at);
  }
  void send(std::uint64_t from, const Request& request, Duration at = {}) {
    send(from, request, content(request), at);
  }
  // The list of digests, from a holder that is made for it and goes again.
  void get_list() {
    fetch.add_source(source(99));
    while (const auto wanted = request(99)) {
      if (wanted->what == What::block) break;
      send(99, *wanted);
    }
    fetch.source_lost(source(99));
  }
  bool refuses(std::uint64_t from, const Answer& answer) {
    std::string why;
    const bool accepted = fetch.answer_begins(source(from), answer, why);
    EXPECT_EQ(accepted, why.empty());
    return !accepted;
  }

  State elected, own;
  Fetch fetch;
};

}  // namespace pccl::shared_state::test
