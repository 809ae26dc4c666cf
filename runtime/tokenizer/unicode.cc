#include "runtime/tokenizer/unicode.h"

#include <utf8proc.h>

#include <array>

namespace octet {

CodePoint code_point_at(std::string_view text, size_t i) {
  utf8proc_int32_t point = 0;
  const auto length = utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data() + i),
                                       static_cast<utf8proc_ssize_t>(text.size() - i), &point);
  if (length <= 0) return {static_cast<uint8_t>(text[i]), 1};
  return {static_cast<char32_t>(point), static_cast<size_t>(length)};
}

void append_utf8(std::string& text, char32_t point) {
  std::array<utf8proc_uint8_t, 4> bytes;
  const auto length = utf8proc_encode_char(static_cast<utf8proc_int32_t>(point), bytes.data());
  text.append(bytes.begin(), bytes.begin() + length);
}

bool is_white_space(char32_t c) {
  return (c >= 0x09 && c <= 0x0D) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

bool is_mark(char32_t point) {
  const auto category = utf8proc_category(static_cast<utf8proc_int32_t>(point));
  return category == UTF8PROC_CATEGORY_MN || category == UTF8PROC_CATEGORY_MC ||
         category == UTF8PROC_CATEGORY_ME;
}

void append_lowercase(std::string& text, char32_t point) {
  append_utf8(text, static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(point))));
  if (point == 0x130) append_utf8(text, 0x307);  // the only one that becomes two
}

size_t grapheme_end(std::string_view text, size_t i) {
  utf8proc_int32_t state = 0;
  CodePoint last = code_point_at(text, i);
  for (i += last.length; i < text.size(); i += last.length) {
    const CodePoint next = code_point_at(text, i);
    if (utf8proc_grapheme_break_stateful(static_cast<utf8proc_int32_t>(last.value),
                                         static_cast<utf8proc_int32_t>(next.value), &state)) {
      break;
    }
    last = next;
  }
  return i;
}

}  // namespace octet
