// The readers of vocabulary files. Errors: InputError naming the file and the field.
#pragma once

#include <filesystem>

#include "runtime/tokenizer/pipeline_tokenizer.h"
#include "runtime/tokenizer/sentencepiece_model.h"

namespace octet {

Pipeline read_tokenizer_json(const std::filesystem::path& file);
Pipeline read_gguf_vocabulary(const std::filesystem::path& file);      // tokenizer.ggml.*
Pipeline read_sentencepiece_model(const std::filesystem::path& file);  // tokenizer.model
Pipeline read_vocab_and_merges(const std::filesystem::path& folder);   // vocab.json, merges.txt

// What a folder's other files say: tokenizer_config.json, added_tokens.json, chat_template.jinja,
// generation_config.json, config.json. Each may be absent.
void read_folder_settings(const std::filesystem::path& folder, Vocabulary& vocabulary);

// The stages of a SentencePiece vocabulary, its control pieces as special tokens.
Pipeline sentencepiece_pipeline(const SentencePieceModel& model, const std::string& where);

}  // namespace octet
