// The stages of tokenizer.json, one function for each field of the file. Every component is
// understood or refused by name. Errors: InputError naming file and field.
#pragma once

#include "runtime/tokenizer/decoder.h"
#include "runtime/tokenizer/json_part.h"
#include "runtime/tokenizer/model.h"
#include "runtime/tokenizer/normalizer.h"
#include "runtime/tokenizer/pre_tokenizer.h"
#include "runtime/tokenizer/vocabulary.h"

namespace octet {

// Sets the vocabulary's pieces.
std::unique_ptr<Model> read_json_model(JsonPart model, Vocabulary& vocabulary);
AddedToken read_json_added_token(JsonPart& part);  // all but the id
void read_json_added_tokens(JsonPart& root, Vocabulary& vocabulary);
void read_json_normalizer(JsonPart part, Normalizers& stages);
void read_json_pre_tokenizer(JsonPart part, PreTokenizers& stages);
void read_json_post_processor(JsonPart part, Vocabulary& vocabulary);  // prefix and suffix
void read_json_decoder(JsonPart part, DecodeSteps& steps);

// "pattern": {"String": ...} or {"Regex": ...}
Regex read_json_pattern(JsonPart part);

}  // namespace octet
