// PrecompiledCharsmap: SentencePiece's compiled normalisation rules: a table of strings behind a
// double-array trie. Immutable; any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/tokenizer/normalizer.h"

namespace octet {

class PrecompiledCharsmap {
 public:
  struct Rule {
    size_t length = 0;  // of the prefix that it replaces
    std::string_view with;
  };

  // The blob: a little-endian u32 length, the trie's units of 4 bytes, the strings with a NUL
  // behind each. Throws InputError beginning with `where`.
  PrecompiledCharsmap(std::string_view blob, const std::string& where);

  std::optional<Rule> longest(std::string_view text) const { return find(text, false); }
  std::optional<Rule> shortest(std::string_view text) const { return find(text, true); }

 private:
  std::optional<Rule> find(std::string_view text, bool first) const;

  std::vector<uint32_t> units_;
  std::string strings_;
};

// tokenizer.json's reading of the rules: a cluster of less than 6 bytes is replaced as a whole by
// the shortest rule that it begins with, else each character is.
std::unique_ptr<Normalizer> precompiled(PrecompiledCharsmap charsmap);

}  // namespace octet
