#include <algorithm>
#include <limits>
#include <utility>

#include "runtime/tokenizer/sentencepiece_model.h"
#include "runtime/tokenizer/unigram_model.h"

namespace octet {

PieceIds ids_of_types(const SentencePieceModel& model, std::initializer_list<PieceType> types) {
  PieceIds ids;
  for (size_t id = 0; id < model.pieces.size(); ++id) {
    const SentencePiece& piece = model.pieces[id];
    if (std::find(types.begin(), types.end(), piece.type) != types.end()) {
      ids.emplace(piece.text, static_cast<int32_t>(id));
    }
  }
  return ids;
}

std::unique_ptr<Model> sentencepiece_unigram(const SentencePieceModel& model) {
  constexpr float kUnknownPenalty = 10;
  float lowest = std::numeric_limits<float>::max(), highest = std::numeric_limits<float>::lowest();
  for (const SentencePiece& piece : model.pieces) {
    if (piece.type != PieceType::kNormal) continue;
    lowest = std::min(lowest, piece.score);
    highest = std::max(highest, piece.score);
  }
  UnigramPieces pieces{.ids = ids_of_types(model, {PieceType::kNormal, PieceType::kUserDefined}),
                       .unknown = model.unknown.value(),
                       .unknown_score = lowest - kUnknownPenalty,
                       .byte_fallback = model.byte_fallback,
                       .single_precision = true};
  for (const SentencePiece& piece : model.pieces) {
    // A user-defined piece wins against any other cut of its characters.
    const double bonus = static_cast<double>(piece.text.size()) * highest - 0.1;
    pieces.scores.push_back(piece.type == PieceType::kUserDefined ? bonus : piece.score);
  }
  return std::make_unique<UnigramModel>(std::move(pieces), ids_of_types(model, {PieceType::kByte}));
}

}  // namespace octet
