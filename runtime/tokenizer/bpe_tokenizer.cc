#include "runtime/tokenizer/bpe_tokenizer.h"

#include <fmt/format.h>
#include <utf8proc.h>

#include <array>
#include <cstdlib>
#include <memory>
#include <utility>

#include "runtime/request/error.h"
#include "runtime/tokenizer/utf8.h"

namespace octet {
namespace {

constexpr std::string_view kSpace = "\xE2\x96\x81";  // U+2581

std::string normalized(std::string_view text, UnicodeForm form) {
  if (form == UnicodeForm::kAsIs) return std::string(text);
  const auto options = static_cast<utf8proc_option_t>(
      UTF8PROC_STABLE | UTF8PROC_COMPOSE | (form == UnicodeForm::kNfkc ? UTF8PROC_COMPAT : 0));
  utf8proc_uint8_t* out = nullptr;
  const auto length = utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                                   static_cast<utf8proc_ssize_t>(text.size()), &out, options);
  const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owner(out, std::free);
  if (length < 0)
    throw InputError(fmt::format("the text cannot be normalised: {}", utf8proc_errmsg(length)));
  return {reinterpret_cast<char*>(out), static_cast<size_t>(length)};
}

std::string replaced(std::string_view text, std::string_view what, std::string_view with) {
  std::string result;
  size_t begin = 0;
  for (size_t at = text.find(what); at != text.npos; at = text.find(what, begin)) {
    result += text.substr(begin, at - begin);
    result += with;
    begin = at + what.size();
  }
  return result += text.substr(begin);
}

struct StandIns {
  std::array<std::string, 256> of_byte;
  std::unordered_map<uint32_t, uint8_t> byte_of;  // by code point

  // Printable Latin-1 stands for itself, the other bytes for U+0100 onwards, in order.
  StandIns() {
    uint32_t next = 0x100;
    for (uint32_t byte = 0; byte < 256; ++byte) {
      const bool printable =
          (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
      const uint32_t point = printable ? byte : next++;
      std::array<utf8proc_uint8_t, 4> utf8;
      const auto length = utf8proc_encode_char(static_cast<utf8proc_int32_t>(point), utf8.data());
      of_byte[byte].assign(utf8.begin(), utf8.begin() + length);
      byte_of[point] = static_cast<uint8_t>(byte);
    }
  }
};

const StandIns& stand_ins() {
  static const StandIns table;
  return table;
}

// "<0x0A>" -> 10
std::optional<uint8_t> byte_token(std::string_view piece) {
  if (piece.size() != 6 || !piece.starts_with("<0x") || piece[5] != '>') return std::nullopt;
  const std::string digits(piece.substr(3, 2));
  char* end = nullptr;
  const long value = std::strtol(digits.c_str(), &end, 16);
  if (end != digits.c_str() + 2) return std::nullopt;
  return static_cast<uint8_t>(value);
}

}  // namespace

const std::string& byte_stand_in(uint8_t byte) { return stand_ins().of_byte[byte]; }

std::optional<std::string> bytes_of_stand_ins(std::string_view piece) {
  std::string bytes;
  for (size_t i = 0; i < piece.size();) {
    utf8proc_int32_t point = 0;
    const auto length =
        utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(piece.data() + i),
                         static_cast<utf8proc_ssize_t>(piece.size() - i), &point);
    if (length <= 0) return std::nullopt;
    const auto place = stand_ins().byte_of.find(static_cast<uint32_t>(point));
    if (place == stand_ins().byte_of.end()) return std::nullopt;
    bytes += static_cast<char>(place->second);
    i += static_cast<size_t>(length);
  }
  return bytes;
}

BpeTokenizer::BpeTokenizer(BpeModel model) : model_(std::move(model)) {
  model_.vocabulary.index_added();
}

std::vector<int32_t> BpeTokenizer::encode(std::string_view text, bool add_special,
                                          bool parse_special) const {
  require_utf8(text);
  const Vocabulary& vocabulary = model_.vocabulary;
  std::vector<int32_t> ids;
  if (add_special) ids = vocabulary.prefix;
  bool at_start = true;
  vocabulary.split(
      text, parse_special,
      [&](std::string_view part) {
        encode_text(part, at_start, ids);
        at_start = false;
      },
      [&](const AddedToken& token) {
        ids.push_back(token.id);
        at_start = true;
      });
  if (add_special) ids.insert(ids.end(), vocabulary.suffix.begin(), vocabulary.suffix.end());
  return ids;
}

void BpeTokenizer::encode_text(std::string_view text, bool at_start,
                               std::vector<int32_t>& ids) const {
  std::string form = normalized(text, model_.form);
  if (model_.scheme == BpeScheme::kByteFallback) {
    if (model_.space_prefix && at_start) form.insert(0, " ");
    encode_word(replaced(form, " ", kSpace), ids);
    return;
  }
  if (model_.space_prefix && at_start && form[0] != ' ') form.insert(0, " ");
  for (const std::string_view word : model_.pre_tokenizer.split(form)) {
    std::string letters;
    for (const char byte : word) letters += byte_stand_in(static_cast<uint8_t>(byte));
    encode_word(letters, ids);
  }
}

void BpeTokenizer::encode_word(std::string_view word, std::vector<int32_t>& ids) const {
  const Vocabulary& vocabulary = model_.vocabulary;
  if (model_.whole_words) {
    if (const auto id = vocabulary.find(word)) {
      ids.push_back(*id);
      return;
    }
  }
  std::vector<BpeSymbol> symbols;
  for (size_t i = 0; i < word.size();) {
    const size_t length = utf8_length(word.substr(i));
    symbols.push_back({.begin = static_cast<uint32_t>(i),
                       .length = static_cast<uint32_t>(length),
                       .id = vocabulary.find(word.substr(i, length)).value_or(-1)});
    i += length;
  }
  if (symbols.empty()) return;
  bpe_merge(symbols, [&](const BpeSymbol& left, const BpeSymbol& right) -> std::optional<BpeMerge> {
    if (!model_.merges.empty() || model_.scores.empty()) {
      if (left.id < 0 || right.id < 0) return std::nullopt;
      const auto place = model_.merges.find(static_cast<uint64_t>(left.id) << 32 |
                                            static_cast<uint32_t>(right.id));
      if (place == model_.merges.end()) return std::nullopt;
      return place->second;
    }
    const auto id = vocabulary.find(word.substr(left.begin, left.length + right.length));
    if (!id) return std::nullopt;
    return BpeMerge{-static_cast<double>(model_.scores[*id]), *id};
  });
  for (int32_t i = 0; i >= 0; i = symbols[i].next) {
    emit(word.substr(symbols[i].begin, symbols[i].length), symbols[i].id, ids);
  }
}

void BpeTokenizer::emit(std::string_view text, int32_t id, std::vector<int32_t>& ids) const {
  if (id >= 0) {
    ids.push_back(id);
    return;
  }
  if (model_.scheme == BpeScheme::kByteFallback) {
    std::vector<int32_t> bytes;
    for (const char byte : text) {
      const auto token =
          model_.vocabulary.find(fmt::format("<0x{:02X}>", static_cast<uint8_t>(byte)));
      if (token) bytes.push_back(*token);
    }
    if (bytes.size() == text.size()) {
      ids.insert(ids.end(), bytes.begin(), bytes.end());
      return;
    }
  }
  if (model_.unknown) ids.push_back(*model_.unknown);
}

std::string BpeTokenizer::token_bytes(int32_t id, bool skip_special) const {
  const Vocabulary& vocabulary = model_.vocabulary;
  const std::string& piece = vocabulary.pieces[id];
  if (vocabulary.special[id]) return skip_special ? "" : piece;
  if (model_.scheme == BpeScheme::kByteLevel) return bytes_of_stand_ins(piece).value_or(piece);
  if (const auto byte = byte_token(piece)) return std::string(1, static_cast<char>(*byte));
  return replaced(piece, kSpace, " ");
}

std::string BpeTokenizer::decode(std::span<const int32_t> ids, bool skip_special) const {
  StreamDecoder decoder(*this, skip_special);
  std::string text;
  for (const int32_t id : ids) text += decoder.push(id);
  return text + decoder.finish();
}

}  // namespace octet
