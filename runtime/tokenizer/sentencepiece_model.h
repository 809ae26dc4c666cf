// SentencePieceModel: what a tokenizer.model or a GGUF file says about a SentencePiece vocabulary,
// and the stages that follow from it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "runtime/tokenizer/model.h"
#include "runtime/tokenizer/normalizer.h"
#include "runtime/tokenizer/vocabulary.h"

namespace octet {

enum class PieceType { kNormal = 1, kUnknown, kControl, kUserDefined, kUnused, kByte };

struct SentencePiece {
  std::string text;
  float score = 0;
  PieceType type = PieceType::kNormal;
};

struct SentencePieceModel {
  enum class Algorithm { kUnigram = 1, kBpe = 2 };

  std::vector<SentencePiece> pieces;  // by id
  Algorithm algorithm = Algorithm::kUnigram;
  bool byte_fallback = false;
  bool add_dummy_prefix = true;          // a space is put before a text
  bool remove_extra_white_space = true;  // at both ends, and all but one in between
  bool escape_white_space = true;        // the space is U+2581
  std::string charsmap;                  // PrecompiledCharsmap's blob, or ""
  std::optional<int32_t> unknown;        // the piece of that type
};

// The stages. Throw InputError beginning with `where`.
std::unique_ptr<Normalizer> sentencepiece_normalizer(const SentencePieceModel& model,
                                                     const std::string& where);
std::unique_ptr<Model> sentencepiece_bpe(const SentencePieceModel& model);
std::unique_ptr<Model> sentencepiece_unigram(const SentencePieceModel& model);

// The ids of the pieces of these types; no two have the same text.
PieceIds ids_of_types(const SentencePieceModel& model, std::initializer_list<PieceType> types);

}  // namespace octet
