#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "runtime/formats/printable.h"
#include "runtime/tokenizer/base64.h"
#include "runtime/tokenizer/json_stages.h"
#include "runtime/tokenizer/precompiled_charsmap.h"

namespace octet {
namespace {

using Make = std::unique_ptr<Normalizer> (*)(JsonPart&);

struct KnownNormalizer {
  const char* type;
  Make make;
};

std::unique_ptr<Normalizer> make_precompiled(JsonPart& part) {
  const std::string where = part.where() + ".precompiled_charsmap";
  return precompiled(
      PrecompiledCharsmap(decode_base64(part.text("precompiled_charsmap"), where), where));
}

// SentencePiece's models may come without rules.
bool is_empty_charsmap(JsonPart& part) {
  return part.type() == "Precompiled" && part.text("precompiled_charsmap", "").empty();
}

constexpr std::array<KnownNormalizer, 12> kNormalizers = {{
    {"NFC", [](JsonPart&) { return unicode_form(UnicodeForm::kNfc); }},
    {"NFD", [](JsonPart&) { return unicode_form(UnicodeForm::kNfd); }},
    {"NFKC", [](JsonPart&) { return unicode_form(UnicodeForm::kNfkc); }},
    {"NFKD", [](JsonPart&) { return unicode_form(UnicodeForm::kNfkd); }},
    {"Lowercase", [](JsonPart&) { return lowercase(); }},
    {"StripAccents", [](JsonPart&) { return strip_accents(); }},
    {"Nmt", [](JsonPart&) { return nmt(); }},
    {"ByteLevel", [](JsonPart&) { return byte_stand_ins(); }},
    {"Strip",
     [](JsonPart& part) {
       const bool left = part.flag("strip_left", true);
       return strip_white_space(left, part.flag("strip_right", true));
     }},
    {"Prepend", [](JsonPart& part) { return prepend(part.text("prepend")); }},
    {"Replace",
     [](JsonPart& part) {
       return replace(read_json_pattern(part.object("pattern")), part.text("content"));
     }},
    {"Precompiled", make_precompiled},
}};

}  // namespace

void read_json_normalizer(JsonPart part, Normalizers& stages) {
  if (part.is_null()) return;
  const std::string type = part.type();
  if (type == "Sequence") {
    for (JsonPart& inner : part.list("normalizers")) read_json_normalizer(inner, stages);
  } else if (!is_empty_charsmap(part)) {
    const auto* const known = std::ranges::find(kNormalizers, type, &KnownNormalizer::type);
    if (known == kNormalizers.end()) {
      part.fail(fmt::format("is of the type {}, which is not understood", printable(type)));
    }
    stages.push_back(known->make(part));
  }
  part.done();
}

}  // namespace octet
