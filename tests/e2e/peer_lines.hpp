// The lines that e2e_peer reads and writes.
#pragma once

#include <pccl.h>

#include <array>
#include <cstdint>
#include <iostream>
#include <map>
#include <mutex>
#include <sstream>
#include <string>

namespace e2e {

inline constexpr std::array<const char*, 13> result_names{"pcclSuccess",
                                                          "pcclNotInitialized",
                                                          "pcclInternalError",
                                                          "pcclInvalidArgument",
                                                          "pcclInvalidUsage",
                                                          "pcclTooFewPeers",
                                                          "pcclMasterConnectionFailed",
                                                          "pcclRankConnectionFailed",
                                                          "pcclRankConnectionLost",
                                                          "pcclNoSharedStateAvailable",
                                                          "pcclPendingAsyncOps",
                                                          "pcclUpdateTopologyFailed",
                                                          "pcclTopologyOptimizationFailed"};

inline std::string name_of(pcclResult_t result) {
  return result_names.at(static_cast<std::size_t>(result));
}

class Command {
 public:
  explicit Command(const std::string& line) {
    std::istringstream words(line);
    words >> name_;
    std::string word;
    while (words >> word) {
      const std::size_t equals = word.find('=');
      arguments_[word.substr(0, equals)] =
          equals == std::string::npos ? "1" : word.substr(equals + 1);
    }
  }
  const std::string& name() const { return name_; }
  std::uint64_t number(const std::string& key, std::uint64_t otherwise = 0) const {
    const auto found = arguments_.find(key);
    return found == arguments_.end() ? otherwise : std::stoull(found->second);
  }
  std::string text(const std::string& key) const {
    const auto found = arguments_.find(key);
    return found == arguments_.end() ? "" : found->second;
  }

 private:
  std::string name_;
  std::map<std::string, std::string> arguments_;
};

inline void print(const std::string& line) {
  static std::mutex mutex;
  const std::lock_guard guard(mutex);
  std::cout << line << std::endl;
}

// "key=value" words of an answer.
class Words {
 public:
  template <typename Value>
  Words& add(const char* key, const Value& value) {
    text_ << ' ' << key << '=' << value;
    return *this;
  }
  std::string text() const { return text_.str(); }

 private:
  std::ostringstream text_;
};

}  // namespace e2e
