// BpeTokenizer: the two byte-pair schemes, both merging neighbours until nothing can be merged.
//
// kByteLevel (Radford et al. 2019): each byte is a printable character, words are cut by regular
// expressions, merges have ranks. kByteFallback (SentencePiece's BPE): characters of a text in
// which U+2581 stands for the space; merges have ranks (tokenizer.json) or go by the score of what
// they make (GGUF); what is not in the vocabulary becomes byte tokens "<0x0A>".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "runtime/tokenizer/bpe_merge.h"
#include "runtime/tokenizer/pre_tokenizer.h"
#include "runtime/tokenizer/tokenizer.h"
#include "runtime/tokenizer/vocabulary.h"

namespace octet {

enum class BpeScheme { kByteLevel, kByteFallback };
enum class UnicodeForm { kAsIs, kNfc, kNfkc };

struct BpeModel {
  Vocabulary vocabulary;
  BpeScheme scheme = BpeScheme::kByteLevel;
  PreTokenizer pre_tokenizer;  // kByteLevel
  UnicodeForm form = UnicodeForm::kAsIs;
  bool space_prefix =
      false;  // a space is put before a text (kByteFallback: and dropped again by decode)
  bool whole_words = false;  // a word that is a piece is not merged up from its letters
  std::unordered_map<uint64_t, BpeMerge> merges;  // by left id << 32 | right id; empty: by score
  std::vector<float> scores;                      // by id
  std::optional<int32_t> unknown;
};

class BpeTokenizer : public Tokenizer {
 public:
  explicit BpeTokenizer(BpeModel model);

  std::vector<int32_t> encode(std::string_view text, bool add_special,
                              bool parse_special) const override;
  std::string token_bytes(int32_t id, bool skip_special) const override;
  std::string decode(std::span<const int32_t> ids, bool skip_special) const override;
  bool drops_first_space() const override {
    return model_.scheme == BpeScheme::kByteFallback && model_.space_prefix;
  }
  int32_t vocab_size() const override {
    return static_cast<int32_t>(model_.vocabulary.pieces.size());
  }
  std::optional<int32_t> token_id(std::string_view piece) const override {
    return model_.vocabulary.find(piece);
  }
  std::optional<int32_t> bos_id() const override { return model_.vocabulary.bos; }
  std::vector<int32_t> eos_ids() const override { return model_.vocabulary.eos; }
  const std::string& chat_template() const override { return model_.vocabulary.chat_template; }

 private:
  void encode_text(std::string_view text, bool at_start, std::vector<int32_t>& ids) const;
  void encode_word(std::string_view word, std::vector<int32_t>& ids) const;
  void emit(std::string_view text, int32_t id, std::vector<int32_t>& ids) const;

  BpeModel model_;
};

// The printable stand-in of each byte in byte-level vocabularies, as UTF-8, and back.
const std::string& byte_stand_in(uint8_t byte);
std::optional<std::string> bytes_of_stand_ins(std::string_view piece);  // nullopt: not made of them

}  // namespace octet
