#include <fmt/format.h>

#include <array>
#include <utility>

#include "runtime/request/error.h"
#include "runtime/tokenizer/regex.h"

namespace octet {
namespace {

// Scripts are scripts in Oniguruma; PCRE2 would add what they share with others.
constexpr std::array<std::string_view, 12> kScripts = {
    "Han",    "Hiragana", "Katakana", "Hangul",     "Latin", "Greek",
    "Arabic", "Cyrillic", "Hebrew",   "Devanagari", "Thai",  "Bengali"};

constexpr std::string_view kWord = "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}";
constexpr std::string_view kWordAlone = "\\x{B2}\\x{B3}\\x{B9}\\x{BC}-\\x{BE}";  // not in a class

constexpr std::array<std::pair<std::string_view, std::string_view>, 7> kPosix = {{
    {"[:alpha:]", "\\p{Alphabetic}\\x{363}-\\x{36F}"},
    {"[:alnum:]", "\\p{Alphabetic}\\x{363}-\\x{36F}\\p{Nd}"},
    {"[:digit:]", "\\p{Nd}"},
    {"[:space:]", "\\p{White_Space}"},
    {"[:upper:]", "\\p{Uppercase}"},
    {"[:lower:]", "\\p{Lowercase}"},
    {"[:punct:]", "\\p{P}\\p{S}"},
}};

class Translation {
 public:
  explicit Translation(const std::string& pattern) : pattern_(pattern) {}

  std::string run() {
    for (at_ = 0; at_ < pattern_.size();) {
      const char c = pattern_[at_];
      if (c == '\\') {
        escape();
      } else if (in_class_) {
        class_character(c);
      } else {
        if (c == '[') open_class();
        if (c == '(') check_group();
        copy(1);
      }
    }
    return result_;
  }

 private:
  [[noreturn]] void refuse(const std::string& what) const {
    throw InputError(
        fmt::format("tokenizer: the pattern {} has {}, which is not understood", pattern_, what));
  }

  std::string_view rest() const { return std::string_view(pattern_).substr(at_); }

  void copy(size_t count) {
    result_.append(pattern_, at_, count);
    at_ += count;
  }

  void put(std::string_view translated, size_t consumed) {
    result_ += translated;
    at_ += consumed;
  }

  void open_class() {
    in_class_ = true;
    if (rest().starts_with("[]") || rest().starts_with("[^]")) refuse("a class beginning with ]");
  }

  void class_character(char c) {
    if (c == '[' && !rest().starts_with("[:")) refuse("a class inside a class");
    if (rest().starts_with("&&")) refuse("an intersection of classes");
    if (rest().starts_with("[:")) return posix_class();
    if (c == ']') in_class_ = false;
    copy(1);
  }

  void posix_class() {
    for (const auto& [name, meaning] : kPosix) {
      if (rest().starts_with(name)) return put(meaning, name.size());
    }
    refuse("a POSIX class that is not known");
  }

  void check_group() {
    if (!rest().starts_with("(?")) return;
    const size_t end = rest().find_first_of(":)=!<>'#|~&RP0123456789", 2);
    const std::string_view flags = rest().substr(2, end == std::string_view::npos ? 0 : end - 2);
    if (!flags.empty() && flags != "i" && flags != "-i") refuse(fmt::format("(?{}", flags));
    if (end == std::string_view::npos || rest()[end] == '~' || rest()[end] == '&' ||
        rest()[end] == 'R' || rest()[end] == 'P') {
      refuse("a group of an unknown kind");
    }
  }

  void escape() {
    const char c = at_ + 1 < pattern_.size() ? pattern_[at_ + 1] : '\0';
    switch (c) {
      case 's':
        return put("\\p{White_Space}", 2);
      case 'S':
        return put("\\P{White_Space}", 2);
      case 'w':
        return put(in_class_ ? kWord : fmt::format("[{}{}]", kWord, kWordAlone), 2);
      case 'W':
        if (in_class_) refuse("\\W in a class");
        return put(fmt::format("[^{}{}]", kWord, kWordAlone), 2);
      case 'h':
        return put(in_class_ ? "0-9a-fA-F" : "[0-9a-fA-F]", 2);
      case 'u':
        if (at_ + 6 > pattern_.size()) refuse("\\u without four digits");
        return put(fmt::format("\\x{{{}}}", pattern_.substr(at_ + 2, 4)), 6);
      case 'p':
      case 'P':
        return property();
      case 'H':
      case 'b':
      case 'B':
      case 'G':
      case 'K':
      case 'R':
      case 'X':
      case 'Z':
      case 'v':
      case 'k':
      case 'g':
      case 'N':
      case 'O':
      case 'y':
      case 'Y':
      case 'Q':
      case 'E':
      case 'c':
      case 'C':
      case 'M':
      case '\0':
        refuse(fmt::format("\\{}", c == '\0' ? ' ' : c));
      default:
        copy(2);
    }
  }

  void property() {
    for (const std::string_view script : kScripts) {
      for (const std::string_view open : {"{", "{^"}) {
        const std::string name = fmt::format("{}{}}}", open, script);
        if (rest().substr(2).starts_with(name)) {
          return put(fmt::format("\\{}{}sc:{}}}", pattern_[at_ + 1], open, script),
                     2 + name.size());
        }
      }
    }
    copy(2);
  }

  const std::string& pattern_;
  std::string result_;
  size_t at_ = 0;
  bool in_class_ = false;
};

}  // namespace

std::string pcre2_of_oniguruma(const std::string& pattern) { return Translation(pattern).run(); }

}  // namespace octet
