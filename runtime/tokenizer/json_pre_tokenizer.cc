#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "runtime/formats/printable.h"
#include "runtime/tokenizer/json_stages.h"

namespace octet {
namespace {

SplitBehavior behavior_of(JsonPart& part, const char* otherwise) {
  const std::string name = part.text("behavior", otherwise);
  if (name == "Removed") return SplitBehavior::kRemoved;
  if (name == "Isolated") return SplitBehavior::kIsolated;
  if (name == "MergedWithPrevious") return SplitBehavior::kMergedWithPrevious;
  if (name == "MergedWithNext") return SplitBehavior::kMergedWithNext;
  if (name == "Contiguous") return SplitBehavior::kContiguous;
  part.fail_field("behavior", fmt::format("is {}, which is not understood", printable(name)));
}

std::unique_ptr<PreTokenizer> make_split(JsonPart& part) {
  const SplitBehavior behavior = behavior_of(part, "");
  return split_at(read_json_pattern(part.object("pattern")), behavior, part.flag("invert", false));
}

std::unique_ptr<PreTokenizer> make_byte_level(JsonPart& part) {
  part.ignore({"trim_offsets"});
  const bool space = part.flag("add_prefix_space", true);
  return byte_level(space, part.flag("use_regex", true));
}

std::unique_ptr<PreTokenizer> make_digits(JsonPart& part) {
  return split_at(Regex("\\p{N}"), part.flag("individual_digits", false)
                                       ? SplitBehavior::kIsolated
                                       : SplitBehavior::kContiguous);
}

std::unique_ptr<PreTokenizer> make_punctuation(JsonPart& part) {
  return split_at(Regex("[!-/:-@\\[-`{-~\\p{P}]"), behavior_of(part, "Isolated"));
}

std::unique_ptr<PreTokenizer> make_whitespace(JsonPart&) {
  return split_at(Regex(fmt::format("[{0}]+|[^{0}\\s]+", kWordClass)), SplitBehavior::kRemoved,
                  true);
}

std::unique_ptr<PreTokenizer> make_whitespace_split(JsonPart&) {
  return split_at(Regex("\\s"), SplitBehavior::kRemoved);
}

std::unique_ptr<PreTokenizer> make_metaspace(JsonPart& part) {
  const std::string replacement = part.text("replacement");
  part.ignore({"str_rep"});  // of older files: the same again
  const std::string scheme =
      part.text("prepend_scheme", part.flag("add_prefix_space", true) ? "always" : "never");
  const bool split = part.flag("split", true);
  if (replacement.empty()) part.fail_field("replacement", "is empty");
  if (scheme == "always") return metaspace(replacement, PrependScheme::kAlways, split);
  if (scheme == "first") return metaspace(replacement, PrependScheme::kFirst, split);
  if (scheme == "never") return metaspace(replacement, PrependScheme::kNever, split);
  part.fail_field("prepend_scheme",
                  fmt::format("is {}, which is not understood", printable(scheme)));
}

std::unique_ptr<PreTokenizer> make_delimiter(JsonPart& part) {
  const std::string delimiter = part.text("delimiter");
  if (delimiter.empty()) part.fail_field("delimiter", "is empty");
  return split_at(Regex::literal(delimiter), SplitBehavior::kRemoved);
}

struct KnownPreTokenizer {
  const char* type;
  std::unique_ptr<PreTokenizer> (*make)(JsonPart&);
};

constexpr std::array<KnownPreTokenizer, 8> kPreTokenizers = {{
    {"ByteLevel", make_byte_level},
    {"Split", make_split},
    {"Metaspace", make_metaspace},
    {"Digits", make_digits},
    {"Punctuation", make_punctuation},
    {"Whitespace", make_whitespace},
    {"WhitespaceSplit", make_whitespace_split},
    {"CharDelimiterSplit", make_delimiter},
}};

}  // namespace

void read_json_pre_tokenizer(JsonPart part, PreTokenizers& stages) {
  if (part.is_null()) return;
  const std::string type = part.type();
  if (type == "Sequence") {
    for (JsonPart& inner : part.list("pretokenizers")) read_json_pre_tokenizer(inner, stages);
  } else {
    const auto* const known = std::ranges::find(kPreTokenizers, type, &KnownPreTokenizer::type);
    if (known == kPreTokenizers.end()) {
      part.fail(fmt::format("is of the type {}, which is not understood", printable(type)));
    }
    stages.push_back(known->make(part));
  }
  part.done();
}

}  // namespace octet
