#include "runtime/tokenizer/bpe_model.h"

#include <fmt/format.h>

#include <utility>

#include "runtime/formats/printable.h"
#include "runtime/request/error.h"
#include "runtime/tokenizer/unicode.h"

namespace octet {
namespace {

uint64_t key_of(int32_t left, int32_t right) {
  return static_cast<uint64_t>(left) << 32 | static_cast<uint32_t>(right);
}

}  // namespace

void MergeTable::add(const PieceIds& ids, std::string_view left, std::string_view right,
                     const std::string& where) {
  const auto a = find_piece(ids, left), b = find_piece(ids, right);
  const auto both = find_piece(ids, std::string(left).append(right));
  if (!a || !b || !both) {
    throw InputError(fmt::format("{} entry {} ({}, {}) is not of two pieces that make a piece",
                                 where, count_, printable(left), printable(right)));
  }
  merges_.insert_or_assign(key_of(*a, *b), BpeMerge{static_cast<double>(count_++), *both});
}

void MergeTable::add(const PieceIds& ids, std::string_view entry, const std::string& where) {
  const size_t space = entry.find(' ', 1);
  if (space == entry.npos) {
    throw InputError(fmt::format("{} entry {} is not two pieces", where, count_));
  }
  add(ids, entry.substr(0, space), entry.substr(space + 1), where);
}

std::optional<BpeMerge> MergeTable::find(int32_t left, int32_t right) const {
  const auto place = merges_.find(key_of(left, right));
  if (place == merges_.end()) return std::nullopt;
  return place->second;
}

BpeModel::BpeModel(PieceIds ids, MergeTable merges, BpeOptions options)
    : ids_(std::move(ids)), merges_(std::move(merges)), options_(options), bytes_(ids_) {}

void BpeModel::encode(std::string_view word, std::vector<int32_t>& ids) const {
  if (options_.whole_words) {
    if (const auto id = find_piece(ids_, word)) return ids.push_back(*id);
  }
  std::vector<BpeSymbol> symbols;
  const auto put = [&](int32_t id) { symbols.push_back({.length = 1, .id = id}); };
  std::vector<int32_t> spelled;
  bool unknown_open = false;  // an unknown stretch is not put before its end is known
  for (size_t i = 0; i < word.size();) {
    const std::string_view character = word.substr(i, code_point_at(word, i).length);
    i += character.size();
    if (const auto id = find_piece(ids_, character)) {
      if (std::exchange(unknown_open, false)) put(*options_.unknown);
      put(*id);
    } else if (spelled.clear(); options_.byte_fallback && bytes_.spell(character, spelled)) {
      for (const int32_t byte : spelled) put(byte);
    } else if (options_.unknown) {
      if (unknown_open && !options_.fuse_unknown) put(*options_.unknown);
      unknown_open = true;
    }
  }
  if (unknown_open) put(*options_.unknown);
  if (symbols.empty()) return;
  bpe_merge(symbols, [&](const BpeSymbol& left, const BpeSymbol& right) {
    return merges_.find(left.id, right.id);
  });
  for (int32_t i = 0; i >= 0; i = symbols[i].next) ids.push_back(symbols[i].id);
}

}  // namespace octet
