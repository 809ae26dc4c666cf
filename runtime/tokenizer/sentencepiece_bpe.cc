// SentencePiece's byte-pair encoding: of all neighbours that make a piece, those with the best
// score are merged first; user-defined pieces stay whole; an unused piece falls apart again.
#include <unordered_map>
#include <utility>

#include "runtime/tokenizer/bpe_merge.h"
#include "runtime/tokenizer/byte_fallback.h"
#include "runtime/tokenizer/prefix_index.h"
#include "runtime/tokenizer/sentencepiece_model.h"
#include "runtime/tokenizer/unicode.h"

namespace octet {
namespace {

constexpr int32_t kWhole = -2;  // the id of a symbol that is not merged

class SentencePieceBpe : public Model {
 public:
  explicit SentencePieceBpe(const SentencePieceModel& model)
      : ids_(
            ids_of_types(model, {PieceType::kNormal, PieceType::kUserDefined, PieceType::kUnused})),
        bytes_(model.byte_fallback ? ids_of_types(model, {PieceType::kByte}) : PieceIds()),
        unknown_(model.unknown) {
    const PieceIds user_defined = ids_of_types(model, {PieceType::kUserDefined});
    whole_ = PrefixIndex({user_defined.begin(), user_defined.end()});
    for (const SentencePiece& piece : model.pieces) {
      scores_.push_back(piece.score);
      unused_.push_back(piece.type == PieceType::kUnused);
    }
  }

  void encode(std::string_view word, std::vector<int32_t>& ids) const override {
    std::vector<BpeSymbol> symbols = symbols_of(word);
    if (symbols.empty()) return;
    Halves halves;
    const auto text = [&](const BpeSymbol& s) { return word.substr(s.begin, s.length); };
    bpe_merge(symbols, [&](const BpeSymbol& left, const BpeSymbol& right) {
      std::optional<BpeMerge> merge;
      if (left.id == kWhole || right.id == kWhole) return merge;
      const auto both = word.substr(left.begin, left.length + right.length);
      if (const auto id = find_piece(ids_, both)) {
        merge = BpeMerge{-static_cast<double>(scores_[*id]), *id};
        if (unused_[*id]) halves[both] = {text(left), text(right)};
      }
      return merge;
    });
    bool unknown_open = false;
    for (int32_t i = 0; i >= 0; i = symbols[i].next)
      put(text(symbols[i]), halves, unknown_open, ids);
  }

 private:
  using Halves =
      std::unordered_map<std::string_view, std::pair<std::string_view, std::string_view>>;

  std::vector<BpeSymbol> symbols_of(std::string_view word) const {
    std::vector<BpeSymbol> symbols;
    for (size_t i = 0; i < word.size();) {
      const auto whole = whole_.longest(word.substr(i));
      const size_t length = whole ? whole->length : code_point_at(word, i).length;
      symbols.push_back({.begin = static_cast<uint32_t>(i),
                         .length = static_cast<uint32_t>(length),
                         .id = whole ? kWhole : -1});
      i += length;
    }
    return symbols;
  }

  // unknown_open: the last token is an unknown one, which takes in the next.
  void put(std::string_view text, const Halves& halves, bool& unknown_open,
           std::vector<int32_t>& ids) const {
    const auto id = find_piece(ids_, text);
    if (id && unused_[*id]) {
      if (const auto place = halves.find(text); place != halves.end()) {
        put(place->second.first, halves, unknown_open, ids);
        put(place->second.second, halves, unknown_open, ids);
        return;
      }
    }
    const bool unknown = !id && !bytes_.spell(text, ids);
    if (id) ids.push_back(*id);
    if (unknown && unknown_ && !unknown_open) ids.push_back(*unknown_);
    unknown_open = unknown;
  }

  const PieceIds ids_;
  const ByteFallback bytes_;
  const std::optional<int32_t> unknown_;
  PrefixIndex whole_;
  std::vector<float> scores_;  // by id
  std::vector<bool> unused_;
};

}  // namespace

std::unique_ptr<Model> sentencepiece_bpe(const SentencePieceModel& model) {
  return std::make_unique<SentencePieceBpe>(model);
}

}  // namespace octet
