#include "runtime/tokenizer/base64.h"

#include <fmt/format.h>

#include <cstdint>

#include "runtime/request/error.h"

namespace octet {

std::string decode_base64(std::string_view text, const std::string& where) {
  constexpr std::string_view kLetters =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const size_t length = text.size();
  while (!text.empty() && text.back() == '=') text.remove_suffix(1);
  if (length % 4 != 0 || length - text.size() > 2) {
    throw InputError(fmt::format("{} is not base64: {} letters", where, length));
  }
  std::string bytes;
  bytes.reserve(length / 4 * 3);
  uint32_t bits = 0;
  int count = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const size_t letter = kLetters.find(text[i]);
    if (letter == kLetters.npos) {
      throw InputError(fmt::format("{} is not base64: offset {}", where, i));
    }
    bits = bits << 6 | static_cast<uint32_t>(letter);
    count += 6;
    if (count < 8) continue;
    count -= 8;
    bytes += static_cast<char>(bits >> count & 0xFF);
  }
  return bytes;
}

}  // namespace octet
