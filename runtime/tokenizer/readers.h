// The readers of vocabulary files. Errors: InputError naming the file and the field.
#pragma once

#include <filesystem>

#include "runtime/tokenizer/bpe_tokenizer.h"

namespace octet {

BpeModel read_gguf_vocabulary(const std::filesystem::path& file);  // tokenizer.ggml.*
BpeModel read_json_vocabulary(const std::filesystem::path& file);  // tokenizer.json

// What a folder's other files say: tokenizer_config.json, chat_template.jinja,
// generation_config.json, config.json. Each may be absent.
void read_folder_settings(const std::filesystem::path& folder, Vocabulary& vocabulary);

}  // namespace octet
