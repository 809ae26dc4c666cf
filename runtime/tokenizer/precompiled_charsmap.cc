#include "runtime/tokenizer/precompiled_charsmap.h"

#include <fmt/format.h>

#include <cstring>
#include <utility>

#include "runtime/request/error.h"
#include "runtime/tokenizer/unicode.h"

namespace octet {
namespace {

// A unit of the trie (Yata's Darts-clone): label, offset to the children, is there a value.
bool has_value(uint32_t unit) { return (unit >> 8 & 1) != 0; }
uint32_t value_of(uint32_t unit) { return unit & 0x7FFFFFFF; }
uint32_t label_of(uint32_t unit) { return unit & 0x800000FF; }
uint32_t offset_of(uint32_t unit) { return unit >> 10 << ((unit & 0x200) >> 6); }

class PrecompiledNormalizer : public Normalizer {
 public:
  explicit PrecompiledNormalizer(PrecompiledCharsmap charsmap) : charsmap_(std::move(charsmap)) {}

  void apply(TextPart& part) const override {
    constexpr size_t kLongestCluster = 5;
    const std::string text = std::move(part.text);
    part.text.clear();
    for (size_t i = 0; i < text.size();) {
      const size_t end = grapheme_end(text, i);
      const bool first = i == 0;
      const auto rule = end - i <= kLongestCluster
                            ? charsmap_.shortest(std::string_view(text).substr(i, end - i))
                            : std::nullopt;
      if (rule) {
        part.text += rule->with;
        i = end;
      }
      for (; i < end; i += code_point_at(text, i).length) put(text, i, part.text);
      if (first && part.text.empty()) part.at_start = false;
    }
  }

 private:
  void put(std::string_view text, size_t i, std::string& result) const {
    const std::string_view character = text.substr(i, code_point_at(text, i).length);
    const auto rule = charsmap_.shortest(character);
    result += rule ? rule->with : character;
  }

  const PrecompiledCharsmap charsmap_;
};

}  // namespace

PrecompiledCharsmap::PrecompiledCharsmap(std::string_view blob, const std::string& where) {
  uint32_t bytes = 0;
  if (blob.size() >= sizeof(bytes)) std::memcpy(&bytes, blob.data(), sizeof(bytes));
  if (blob.size() < sizeof(bytes) || bytes % 4 != 0 || bytes == 0 ||
      bytes > blob.size() - sizeof(bytes)) {
    throw InputError(
        fmt::format("{} has {} bytes and a trie of {} bytes", where, blob.size(), bytes));
  }
  units_.resize(bytes / 4);
  std::memcpy(units_.data(), blob.data() + sizeof(bytes), bytes);
  strings_ = blob.substr(sizeof(bytes) + bytes);
  if (strings_.empty() || strings_.back() != '\0') {
    throw InputError(fmt::format("{} does not end with a NUL", where));
  }
}

std::optional<PrecompiledCharsmap::Rule> PrecompiledCharsmap::find(std::string_view text,
                                                                   bool first) const {
  std::optional<Rule> found;
  uint32_t at = offset_of(units_[0]);
  for (size_t i = 0; i < text.size() && text[i] != '\0'; ++i) {
    const auto byte = static_cast<uint8_t>(text[i]);
    at ^= byte;
    if (at >= units_.size() || label_of(units_[at]) != byte) break;
    const uint32_t unit = units_[at];
    at ^= offset_of(unit);
    if (!has_value(unit)) continue;
    if (at >= units_.size() || value_of(units_[at]) >= strings_.size()) break;
    found = Rule{i + 1, strings_.data() + value_of(units_[at])};
    if (first) break;
  }
  return found;
}

std::unique_ptr<Normalizer> precompiled(PrecompiledCharsmap charsmap) {
  return std::make_unique<PrecompiledNormalizer>(std::move(charsmap));
}

}  // namespace octet
