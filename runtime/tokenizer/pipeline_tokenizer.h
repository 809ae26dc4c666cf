// PipelineTokenizer: every vocabulary is the same way from text to ids:
//
//   added tokens -> normalizers -> pre-tokenizers -> model -> prefix and suffix
//
// and back: pieces -> decode steps. A reader fills in the stages (readers.h).
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "runtime/tokenizer/added_tokens.h"
#include "runtime/tokenizer/decoder.h"
#include "runtime/tokenizer/model.h"
#include "runtime/tokenizer/normalizer.h"
#include "runtime/tokenizer/pre_tokenizer.h"
#include "runtime/tokenizer/tokenizer.h"
#include "runtime/tokenizer/vocabulary.h"

namespace octet {

struct Pipeline {
  Vocabulary vocabulary;
  Normalizers normalizers;
  PreTokenizers pre_tokenizers;
  std::unique_ptr<Model> model;
  DecodeSteps decoder;
};

class PipelineTokenizer : public Tokenizer {
 public:
  explicit PipelineTokenizer(Pipeline stages);  // REQUIRES: a model

  std::vector<int32_t> encode(std::string_view text, bool add_special,
                              bool parse_special) const override;
  std::string token_bytes(int32_t id, bool skip_special, bool first) const override;
  std::string decode(std::span<const int32_t> ids, bool skip_special) const override;
  bool is_special(int32_t id) const override { return vocabulary().special[id]; }
  int32_t vocab_size() const override { return static_cast<int32_t>(vocabulary().pieces.size()); }
  std::optional<int32_t> token_id(std::string_view piece) const override {
    return vocabulary().find(piece);
  }
  std::optional<int32_t> bos_id() const override { return vocabulary().bos; }
  std::vector<int32_t> eos_ids() const override { return vocabulary().eos; }
  const std::string& chat_template() const override { return vocabulary().chat_template; }

 private:
  const Vocabulary& vocabulary() const { return stages_.vocabulary; }
  void normalize(TextPart& part) const;
  void encode_part(TextPart part, bool parse_special, std::vector<int32_t>& ids) const;
  AddedTokens added_tokens(bool normalized) const;

  const Pipeline stages_;
  const AddedTokens added_;             // looked for in the text as it is
  const AddedTokens added_normalized_;  // looked for in the normalised text
};

}  // namespace octet
