// UnigramModel: the most likely way to cut a word into pieces (Kudo 2018), by Viterbi's algorithm.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/tokenizer/byte_fallback.h"
#include "runtime/tokenizer/model.h"
#include "runtime/tokenizer/prefix_index.h"
#include "runtime/tokenizer/vocabulary.h"

namespace octet {

struct UnigramPieces {
  PieceIds ids;                // what may stand in a word
  std::vector<double> scores;  // by id: log-probabilities
  int32_t unknown = -1;        // what no piece covers; neighbouring ones are one token
  double unknown_score = 0;
  bool byte_fallback = false;  // spelled in bytes rather than `unknown`
  // Scores of paths are rounded to float, as SentencePiece's are (tokenizer.json's are double).
  bool single_precision = false;
};

class UnigramModel : public Model {
 public:
  // REQUIRES: a score for each id, unknown among them. byte_ids: where "<0x0A>" is looked up.
  UnigramModel(UnigramPieces pieces, const PieceIds& byte_ids);
  void encode(std::string_view word, std::vector<int32_t>& ids) const override;

 private:
  void put(std::string_view stretch, std::vector<int32_t>& ids) const;

  const UnigramPieces pieces_;
  const PrefixIndex index_;
  const ByteFallback bytes_;
};

}  // namespace octet
