// Code points and the few properties that tokenizers ask for. Pure; any thread.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace octet {

struct CodePoint {
  char32_t value = 0;
  size_t length = 0;  // bytes
};

// REQUIRES: text is UTF-8 and i stands at the start of a character.
CodePoint code_point_at(std::string_view text, size_t i);
void append_utf8(std::string& text, char32_t point);

bool is_white_space(char32_t point);  // the property White_Space
bool is_mark(char32_t point);         // the categories Mn, Mc, Me
void append_lowercase(std::string& text, char32_t point);

// The end of the grapheme cluster that begins at i.
size_t grapheme_end(std::string_view text, size_t i);

// A character that the published tokenizers' normalisation, which knows Unicode 9, leaves alone: a
// mark or a compatibility character that came later.
bool is_younger_than_normalization(char32_t point);

// The same text with each character that came after Unicode 14 (which PCRE2 10.42 knows) replaced
// by an older one of the same category and length, so that matches have the places they would have.
std::string with_older_characters(std::string_view text);

}  // namespace octet
