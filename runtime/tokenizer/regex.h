// Regex: a compiled regular expression of a tokenizer file. Immutable; any thread.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace octet {

class Regex {
 public:
  struct Match {
    size_t begin = 0, end = 0;
  };

  // `pattern` is written for Oniguruma, as tokenizer.json's are, and run by PCRE2. Throws
  // InputError naming the pattern where the two could disagree.
  explicit Regex(const std::string& pattern);
  static Regex literal(const std::string& text);  // REQUIRES: not empty

  // From left to right, not overlapping; an empty match not right behind another. REQUIRES: UTF-8.
  std::vector<Match> find_all(std::string_view text) const;

 private:
  struct Compiled;
  struct CompiledDeleter {
    void operator()(Compiled* compiled) const;
  };
  Regex(const std::string& pattern, uint32_t options);

  std::unique_ptr<Compiled, CompiledDeleter> compiled_;
};

// What the published tokenizers call a letter of a word where they write no expression.
inline constexpr const char* kWordClass = "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\p{Join_Control}";

// The same expression in PCRE2's dialect. Throws InputError.
std::string pcre2_of_oniguruma(const std::string& pattern);

}  // namespace octet
