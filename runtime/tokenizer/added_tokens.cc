#include "runtime/tokenizer/added_tokens.h"

#include <algorithm>
#include <string>
#include <utility>

#include "runtime/tokenizer/regex.h"
#include "runtime/tokenizer/unicode.h"

namespace octet {
namespace {

PrefixIndex index_of(const std::vector<AddedToken>& tokens) {
  std::vector<std::pair<std::string, int32_t>> entries;
  for (size_t i = 0; i < tokens.size(); ++i) {
    entries.emplace_back(tokens[i].text, static_cast<int32_t>(i));
  }
  return PrefixIndex(std::move(entries));
}

size_t character_before(std::string_view text, size_t end) {
  do {
    --end;
  } while (end > 0 && (static_cast<uint8_t>(text[end]) & 0xC0) == 0x80);
  return end;
}

// Is no letter beside [begin, end)?
bool is_alone(std::string_view text, size_t begin, size_t end) {
  static const Regex kLetter(std::string("[") + kWordClass + "]");
  const auto is_word = [&](size_t at) {
    return !kLetter.find_all(text.substr(at, code_point_at(text, at).length)).empty();
  };
  return (begin == 0 || !is_word(character_before(text, begin))) &&
         (end == text.size() || !is_word(end));
}

}  // namespace

AddedTokens::AddedTokens(std::vector<AddedToken> tokens)
    : tokens_(std::move(tokens)), index_(index_of(tokens_)) {}

std::vector<AddedTokens::Part> AddedTokens::split(std::string_view text, bool parse_special) const {
  std::vector<Part> parts;
  size_t done = 0;
  for (size_t i = 0; i < text.size();) {
    const auto found = index_.longest(text.substr(i));
    if (!found) {
      ++i;
      continue;
    }
    size_t begin = i;
    i += found->length;
    const AddedToken& token = tokens_[found->value];
    if ((token.special && !parse_special) || (token.single_word && !is_alone(text, begin, i))) {
      continue;
    }
    while (token.lstrip && begin > done) {
      const size_t before = character_before(text, begin);
      if (!is_white_space(code_point_at(text, before).value)) break;
      begin = before;
    }
    begin = std::max(begin, done);
    size_t end = i;
    while (token.rstrip && end < text.size()) {
      const CodePoint next = code_point_at(text, end);
      if (!is_white_space(next.value)) break;
      end += next.length;
    }
    if (begin > done) parts.push_back({done, begin, nullptr});
    parts.push_back({begin, end, &token});
    done = end;
  }
  if (done < text.size()) parts.push_back({done, text.size(), nullptr});
  return parts;
}

}  // namespace octet
