// PrefixIndex: which of a set of strings does a text begin with? The strings stand sorted; each
// further byte narrows the range of those that still fit. Immutable; any thread.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace octet {

class PrefixIndex {
 public:
  struct Found {
    size_t length = 0;
    int32_t value = -1;
  };

  PrefixIndex() = default;
  explicit PrefixIndex(std::vector<std::pair<std::string, int32_t>> entries);  // empty ones ignored

  // visit(Found) for each string that `text` begins with, the shortest first.
  template <typename Visit>
  void for_each_prefix(std::string_view text, const Visit& visit) const {
    if (text.empty()) return;
    const auto first_byte = static_cast<uint8_t>(text[0]);
    uint32_t begin = first_[first_byte], end = first_[first_byte + 1];
    for (size_t length = 1; begin < end; ++length) {
      for (; begin < end && entries_[begin].first.size() == length; ++begin) {
        visit(Found{length, entries_[begin].second});
      }
      if (length == text.size()) return;
      narrow(length, static_cast<uint8_t>(text[length]), begin, end);
    }
  }

  std::optional<Found> longest(std::string_view text) const;

 private:
  void narrow(size_t position, uint8_t byte, uint32_t& begin, uint32_t& end) const;

  std::vector<std::pair<std::string, int32_t>> entries_;  // sorted by bytes, no two the same
  std::array<uint32_t, 257> first_{};                     // where the strings of a first byte begin
};

}  // namespace octet
