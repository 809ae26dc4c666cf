#include <fmt/format.h>

#include <utility>

#include "runtime/formats/printable.h"
#include "runtime/tokenizer/json_stages.h"

namespace octet {
namespace {

using Ids = std::vector<int32_t>;

int32_t checked_id(const nlohmann::json& id, const JsonPart& part, const Vocabulary& vocabulary) {
  const auto size = static_cast<int64_t>(vocabulary.pieces.size());
  if (!id.is_number_integer() || id.get<int64_t>() < 0 || id.get<int64_t>() >= size) {
    part.fail(fmt::format("has the id {}, the vocabulary has {}", printable(id.dump()), size));
  }
  return id.get<int32_t>();
}

// The ids that "special_tokens" gives a name of the template.
Ids ids_of(const std::string& name, JsonPart& special_tokens, const Vocabulary& vocabulary) {
  if (!special_tokens.has(name.c_str())) {
    special_tokens.fail(fmt::format("does not have {}", printable(name)));
  }
  JsonPart token = special_tokens.object(name.c_str());
  Ids ids;
  for (const auto& id : token.value("ids")) ids.push_back(checked_id(id, token, vocabulary));
  return ids;
}

void read_template(JsonPart& part, const Vocabulary& vocabulary, Ids& prefix, Ids& suffix) {
  part.ignore({"pair"});
  JsonPart special_tokens = part.object("special_tokens");
  int sequences = 0;
  for (JsonPart& piece : part.list("single")) {
    if (piece.has("Sequence")) {
      ++sequences;
      continue;
    }
    const std::string name = piece.object("SpecialToken").text("id");
    Ids& side = sequences == 0 ? prefix : suffix;
    for (const int32_t id : ids_of(name, special_tokens, vocabulary)) side.push_back(id);
  }
  if (sequences != 1) {
    part.fail_field("single", fmt::format("has the text {} times", sequences));
  }
}

// ["</s>", 2]
int32_t read_named_id(JsonPart& part, const char* field, const Vocabulary& vocabulary) {
  const auto& pair = part.value(field);
  if (!pair.is_array() || pair.size() != 2) part.fail_field(field, "is not a token and its id");
  return checked_id(pair[1], part, vocabulary);
}

}  // namespace

void read_json_post_processor(JsonPart part, Vocabulary& vocabulary) {
  if (part.is_null()) return;
  const std::string type = part.type();
  Ids prefix, suffix;
  if (type == "Sequence") {
    for (JsonPart& inner : part.list("processors")) read_json_post_processor(inner, vocabulary);
  } else if (type == "TemplateProcessing") {
    read_template(part, vocabulary, prefix, suffix);
  } else if (type == "RobertaProcessing" || type == "BertProcessing") {
    prefix = {read_named_id(part, "cls", vocabulary)};
    suffix = {read_named_id(part, "sep", vocabulary)};
    part.ignore({"trim_offsets", "add_prefix_space"});
  } else if (type == "ByteLevel") {  // of offsets only
    part.ignore({"trim_offsets", "add_prefix_space", "use_regex"});
  } else {
    part.fail(fmt::format("is of the type {}, which is not understood", printable(type)));
  }
  part.done();
  if (prefix.empty() && suffix.empty()) return;
  if (!vocabulary.prefix.empty() || !vocabulary.suffix.empty()) {
    part.fail("adds tokens to those of another, which is not understood");
  }
  vocabulary.prefix = std::move(prefix);
  vocabulary.suffix = std::move(suffix);
}

}  // namespace octet
