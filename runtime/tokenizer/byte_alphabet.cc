#include "runtime/tokenizer/byte_alphabet.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <unordered_map>

#include "runtime/tokenizer/unicode.h"

namespace octet {
namespace {

struct StandIns {
  std::array<std::string, 256> of_byte;
  std::unordered_map<char32_t, char> byte_of;

  // Printable Latin-1 stands for itself, the other bytes for U+0100 onwards, in order.
  StandIns() {
    char32_t next = 0x100;
    for (uint32_t byte = 0; byte < 256; ++byte) {
      const bool printable =
          (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
      const char32_t point = printable ? byte : next++;
      append_utf8(of_byte[byte], point);
      byte_of[point] = static_cast<char>(byte);
    }
  }
};

const StandIns& stand_ins() {
  static const StandIns table;
  return table;
}

}  // namespace

const std::string& byte_stand_in(uint8_t byte) { return stand_ins().of_byte[byte]; }

std::string stand_ins_of_bytes(std::string_view bytes) {
  std::string text;
  for (const char byte : bytes) text += byte_stand_in(static_cast<uint8_t>(byte));
  return text;
}

std::optional<std::string> bytes_of_stand_ins(std::string_view piece) {
  std::string bytes;
  for (size_t i = 0; i < piece.size();) {
    const CodePoint point = code_point_at(piece, i);
    const auto place = stand_ins().byte_of.find(point.value);
    if (place == stand_ins().byte_of.end()) return std::nullopt;
    bytes += place->second;
    i += point.length;
  }
  return bytes;
}

std::string byte_token(uint8_t byte) { return fmt::format("<0x{:02X}>", byte); }

std::optional<uint8_t> byte_of_token(std::string_view piece) {
  if (piece.size() != 6 || !piece.starts_with("<0x") || piece[5] != '>') return std::nullopt;
  uint8_t value = 0;
  const char* end = piece.data() + 5;
  const auto parsed = std::from_chars(piece.data() + 3, end, value, 16);
  if (parsed.ec != std::errc() || parsed.ptr != end) return std::nullopt;
  return value;
}

}  // namespace octet
