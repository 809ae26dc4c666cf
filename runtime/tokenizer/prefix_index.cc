#include "runtime/tokenizer/prefix_index.h"

#include <algorithm>

namespace octet {

PrefixIndex::PrefixIndex(std::vector<std::pair<std::string, int32_t>> entries)
    : entries_(std::move(entries)) {
  std::erase_if(entries_, [](const auto& entry) { return entry.first.empty(); });
  std::stable_sort(entries_.begin(), entries_.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  const auto same = [](const auto& a, const auto& b) { return a.first == b.first; };
  entries_.erase(std::unique(entries_.begin(), entries_.end(), same), entries_.end());
  for (const auto& entry : entries_) ++first_[static_cast<uint8_t>(entry.first[0]) + 1];
  for (size_t byte = 0; byte < 256; ++byte) first_[byte + 1] += first_[byte];
}

// REQUIRES: the strings in [begin, end) are longer than position and agree before it.
void PrefixIndex::narrow(size_t position, uint8_t byte, uint32_t& begin, uint32_t& end) const {
  const auto byte_of = [position](const auto& entry) {
    return static_cast<uint8_t>(entry.first[position]);
  };
  const auto low =
      std::lower_bound(entries_.begin() + begin, entries_.begin() + end, byte,
                       [&](const auto& entry, uint8_t wanted) { return byte_of(entry) < wanted; });
  const auto high =
      std::upper_bound(low, entries_.begin() + end, byte,
                       [&](uint8_t wanted, const auto& entry) { return wanted < byte_of(entry); });
  begin = static_cast<uint32_t>(low - entries_.begin());
  end = static_cast<uint32_t>(high - entries_.begin());
}

std::optional<PrefixIndex::Found> PrefixIndex::longest(std::string_view text) const {
  std::optional<Found> best;
  for_each_prefix(text, [&](const Found& found) { best = found; });
  return best;
}

}  // namespace octet
