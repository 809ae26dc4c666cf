// BpeModel: byte-pair encoding by ranked merges (Sennrich et al. 2016): the characters of a word
// are merged, the pair of the lowest rank first, until no pair has a rank.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "runtime/tokenizer/bpe_merge.h"
#include "runtime/tokenizer/byte_fallback.h"
#include "runtime/tokenizer/model.h"
#include "runtime/tokenizer/vocabulary.h"

namespace octet {

// The merges of a file, in order.
class MergeTable {
 public:
  // Throws InputError beginning with `where` when these are not two pieces that make a piece.
  void add(const PieceIds& ids, std::string_view left, std::string_view right,
           const std::string& where);
  // "left right"
  void add(const PieceIds& ids, std::string_view entry, const std::string& where);
  std::optional<BpeMerge> find(int32_t left, int32_t right) const;

 private:
  int64_t count_ = 0;
  std::unordered_map<uint64_t, BpeMerge> merges_;  // by left id << 32 | right id
};

// What is in no piece: bytes where they are tokens, else `unknown`, else nothing.
struct BpeOptions {
  bool whole_words = false;  // a word that is a piece is not merged up from its letters
  bool byte_fallback = false;
  bool fuse_unknown = false;  // neighbouring unknown characters are one token
  std::optional<int32_t> unknown;
};

class BpeModel : public Model {
 public:
  BpeModel(PieceIds ids, MergeTable merges, BpeOptions options);
  void encode(std::string_view word, std::vector<int32_t>& ids) const override;

 private:
  const PieceIds ids_;
  const MergeTable merges_;
  const BpeOptions options_;
  const ByteFallback bytes_;
};

}  // namespace octet
