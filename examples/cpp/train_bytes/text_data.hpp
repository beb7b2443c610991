// The text: files read into memory, the last tenth of each held out to measure the loss on.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <random>
#include <vector>

#include "model.hpp"

namespace train_bytes {

// The regular files of a folder, in order; the links in /usr/share/common-licenses would be
// duplicates.
std::vector<std::filesystem::path> regular_files(const std::filesystem::path& folder);

class TextData {
 public:
  // Throws std::runtime_error when a file cannot be read or there is too little text in all.
  explicit TextData(const std::vector<std::filesystem::path>& files);

  // Random windows of the training text. Peers with different seeds see different text.
  std::vector<Window> sample(std::size_t count, std::mt19937_64& random) const;

  // Windows spread evenly over the held-out text: the same on every peer with the same files.
  std::vector<Window> held_out_windows(std::size_t count) const;

  std::size_t training_bytes() const { return training_.size(); }
  std::size_t held_out_bytes() const { return held_out_.size(); }

 private:
  std::vector<std::uint8_t> training_, held_out_;
};

}  // namespace train_bytes
