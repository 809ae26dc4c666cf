#include <fmt/format.h>

#include "runtime/formats/json_text.h"
#include "runtime/request/error.h"
#include "runtime/tokenizer/json_stages.h"
#include "runtime/tokenizer/readers.h"

namespace octet {

Regex read_json_pattern(JsonPart part) {
  const bool literal = part.has("String");
  const std::string pattern = part.text(literal ? "String" : "Regex");
  part.done();
  if (pattern.empty()) part.fail("is empty");
  return literal ? Regex::literal(pattern) : Regex(pattern);
}

AddedToken read_json_added_token(JsonPart& part) {
  AddedToken token{.text = part.text("content"),
                   .special = part.flag("special", false),
                   .lstrip = part.flag("lstrip", false),
                   .rstrip = part.flag("rstrip", false),
                   .single_word = part.flag("single_word", false)};
  token.normalized = part.flag("normalized", !token.special);
  return token;
}

void read_json_added_tokens(JsonPart& root, Vocabulary& vocabulary) {
  if (!root.has("added_tokens")) return;
  for (JsonPart& part : root.list("added_tokens")) {
    AddedToken token = read_json_added_token(part);
    const int64_t id = part.integer("id");
    part.done();
    vocabulary.add_token(std::move(token), id, part.where());
  }
}

Pipeline read_tokenizer_json(const std::filesystem::path& file) {
  const nlohmann::json json = read_json_file(file);
  const std::string name = file.string();
  JsonPart root(name + ":", json);
  const auto part = [&](const char* field) {
    static const nlohmann::json kNull;
    return JsonPart(fmt::format("{}: {}", name, field), root.has(field) ? json[field] : kNull);
  };
  try {
    Pipeline stages;
    stages.model = read_json_model(part("model"), stages.vocabulary);
    read_json_added_tokens(root, stages.vocabulary);
    read_json_normalizer(part("normalizer"), stages.normalizers);
    read_json_pre_tokenizer(part("pre_tokenizer"), stages.pre_tokenizers);
    read_json_post_processor(part("post_processor"), stages.vocabulary);
    read_json_decoder(part("decoder"), stages.decoder);
    root.ignore({"version", "truncation", "padding"});  // of batches, not of a text
    root.done();
    return stages;
  } catch (const InputError& error) {  // a pattern names itself only
    const std::string what = error.what();
    if (what.starts_with(name)) throw;
    throw InputError(fmt::format("{}: {}", name, what));
  }
}

}  // namespace octet
