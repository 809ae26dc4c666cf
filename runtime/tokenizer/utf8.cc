#include "runtime/tokenizer/utf8.h"

#include <fmt/format.h>

#include <cstdint>

#include "runtime/request/error.h"

namespace octet {
namespace {

struct Lead {
  size_t length = 0;                // 0: not a lead byte
  uint8_t low = 0x80, high = 0xBF;  // of the second byte
};

Lead lead_of(uint8_t byte) {
  if (byte < 0x80) return {1};
  if (byte < 0xC2) return {};
  if (byte < 0xE0) return {2};
  if (byte == 0xE0) return {3, 0xA0, 0xBF};
  if (byte == 0xED) return {3, 0x80, 0x9F};
  if (byte < 0xF0) return {3};
  if (byte == 0xF0) return {4, 0x90, 0xBF};
  if (byte == 0xF4) return {4, 0x80, 0x8F};
  if (byte < 0xF4) return {4};
  return {};
}

// How many bytes from the start are as they must be.
size_t good_bytes(std::string_view text, const Lead& lead) {
  size_t i = 1;
  for (; i < lead.length && i < text.size(); ++i) {
    const auto byte = static_cast<uint8_t>(text[i]);
    const uint8_t low = i == 1 ? lead.low : 0x80, high = i == 1 ? lead.high : 0xBF;
    if (byte < low || byte > high) break;
  }
  return i;
}

}  // namespace

size_t utf8_length(std::string_view text) {
  if (text.empty()) return 0;
  const Lead lead = lead_of(static_cast<uint8_t>(text[0]));
  return lead.length > 0 && good_bytes(text, lead) == lead.length ? lead.length : 0;
}

bool utf8_incomplete(std::string_view text) {
  if (text.empty()) return false;
  const Lead lead = lead_of(static_cast<uint8_t>(text[0]));
  return text.size() < lead.length && good_bytes(text, lead) == text.size();
}

void require_utf8(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    const size_t length = utf8_length(text.substr(i));
    if (length == 0) {
      throw InputError(fmt::format("the text is not UTF-8: byte 0x{:02x} at offset {}",
                                   static_cast<uint8_t>(text[i]), i));
    }
    i += length;
  }
}

std::string take_utf8(std::string& bytes, bool final) {
  constexpr std::string_view kReplacement = "\xEF\xBF\xBD";
  std::string text;
  size_t i = 0;
  while (i < bytes.size()) {
    const std::string_view rest = std::string_view(bytes).substr(i);
    if (const size_t length = utf8_length(rest)) {
      text += rest.substr(0, length);
      i += length;
    } else if (utf8_incomplete(rest) && !final) {
      break;
    } else {
      text += kReplacement;
      const Lead lead = lead_of(static_cast<uint8_t>(rest[0]));
      i += lead.length > 0 ? good_bytes(rest, lead) : 1;
    }
  }
  bytes.erase(0, i);
  return text;
}

}  // namespace octet
