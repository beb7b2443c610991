#include "text_data.hpp"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>

namespace train_bytes {
namespace {

std::string read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  if (!file) throw std::runtime_error("cannot read " + path.string());
  return text;
}

Window window_at(const std::vector<std::uint8_t>& text, std::size_t offset) {
  Window window;
  std::copy_n(text.data() + offset, window.size(), window.begin());
  return window;
}

}  // namespace

std::vector<std::filesystem::path> regular_files(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> files;
  std::error_code missing;  // a missing folder is an empty one; TextData names the problem
  for (const auto& entry : std::filesystem::directory_iterator(folder, missing)) {
    if (entry.is_regular_file() && !entry.is_symlink()) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

TextData::TextData(const std::vector<std::filesystem::path>& files) {
  for (const auto& file : files) {
    const std::string text = read_file(file);
    const auto split = text.begin() + static_cast<std::ptrdiff_t>(text.size() - text.size() / 10);
    training_.insert(training_.end(), text.begin(), split);
    held_out_.insert(held_out_.end(), split, text.end());
  }
  if (held_out_.size() < 10 * sizeof(Window)) {
    throw std::runtime_error("too little text to learn from: name some files with --data");
  }
}

std::vector<Window> TextData::sample(std::size_t count, std::mt19937_64& random) const {
  std::uniform_int_distribution<std::size_t> offset(0, training_.size() - sizeof(Window));
  std::vector<Window> windows(count);
  for (Window& window : windows) window = window_at(training_, offset(random));
  return windows;
}

std::vector<Window> TextData::held_out_windows(std::size_t count) const {
  const std::size_t last_offset = held_out_.size() - sizeof(Window);
  std::vector<Window> windows(count);
  for (std::size_t i = 0; i < count; ++i) {
    windows[i] = window_at(held_out_, last_offset * i / count);
  }
  return windows;
}

}  // namespace train_bytes
