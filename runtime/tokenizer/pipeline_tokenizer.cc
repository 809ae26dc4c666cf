#include "runtime/tokenizer/pipeline_tokenizer.h"

#include <utility>

#include "runtime/tokenizer/utf8.h"

namespace octet {

PipelineTokenizer::PipelineTokenizer(Pipeline stages)
    : stages_(std::move(stages)),
      added_(added_tokens(false)),
      added_normalized_(added_tokens(true)) {}

AddedTokens PipelineTokenizer::added_tokens(bool normalized) const {
  std::vector<AddedToken> tokens;
  for (AddedToken token : vocabulary().added) {
    if (token.normalized != normalized) continue;
    if (normalized) {
      TextPart part{token.text};
      normalize(part);
      token.text = part.text;
    }
    tokens.push_back(std::move(token));
  }
  return AddedTokens(std::move(tokens));
}

void PipelineTokenizer::normalize(TextPart& part) const {
  for (const auto& normalizer : stages_.normalizers) normalizer->apply(part);
}

std::vector<int32_t> PipelineTokenizer::encode(std::string_view text, bool add_special,
                                               bool parse_special) const {
  require_utf8(text);
  std::vector<int32_t> ids;
  if (add_special) ids = vocabulary().prefix;
  for (const AddedTokens::Part& found : added_.split(text, parse_special)) {
    if (found.token != nullptr) {
      ids.push_back(found.token->id);
      continue;
    }
    TextPart part{std::string(text.substr(found.begin, found.end - found.begin)), found.begin == 0};
    normalize(part);
    encode_part(std::move(part), parse_special, ids);
  }
  if (add_special) {
    ids.insert(ids.end(), vocabulary().suffix.begin(), vocabulary().suffix.end());
  }
  return ids;
}

void PipelineTokenizer::encode_part(TextPart part, bool parse_special,
                                    std::vector<int32_t>& ids) const {
  for (const AddedTokens::Part& found : added_normalized_.split(part.text, parse_special)) {
    if (found.token != nullptr) {
      ids.push_back(found.token->id);
      continue;
    }
    std::vector<TextPart> words, cut;
    words.push_back({part.text.substr(found.begin, found.end - found.begin),
                     part.at_start && found.begin == 0});
    for (const auto& pre_tokenizer : stages_.pre_tokenizers) {
      for (TextPart& word : words) pre_tokenizer->split(std::move(word), cut);
      std::erase_if(cut, [](const TextPart& word) { return word.text.empty(); });
      words = std::exchange(cut, {});
    }
    for (const TextPart& word : words) stages_.model->encode(word.text, ids);
  }
}

std::string PipelineTokenizer::token_bytes(int32_t id, bool skip_special, bool first) const {
  std::string piece = vocabulary().pieces[id];
  if (is_special(id)) return skip_special ? "" : piece;
  for (const auto& step : stages_.decoder) piece = step->apply(std::move(piece), first);
  return piece;
}

std::string PipelineTokenizer::decode(std::span<const int32_t> ids, bool skip_special) const {
  StreamDecoder decoder(*this, skip_special);
  std::string text;
  for (const int32_t id : ids) text += decoder.push(id);
  return text + decoder.finish();
}

}  // namespace octet
