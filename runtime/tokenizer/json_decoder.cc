#include <fmt/format.h>

#include "runtime/formats/printable.h"
#include "runtime/tokenizer/json_stages.h"

namespace octet {
namespace {

// fused: pieces are one text from here on, of which a step sees only the first piece's end.
void read_step(JsonPart& part, bool& fused, DecodeSteps& steps) {
  const std::string type = part.type();
  if (type == "Sequence") {
    for (JsonPart& inner : part.list("decoders")) read_step(inner, fused, steps);
  } else if (type == "Fuse") {
    fused = true;
  } else if (type == "Strip") {
    const std::string content = part.text("content");
    const int64_t start = part.integer("start"), stop = part.integer("stop");
    if (content.empty() || start < 0 || stop < 0 || (fused && (start > 1 || stop > 0))) {
      part.fail(fmt::format("strips {} {} times at the start and {} at the end", printable(content),
                            start, stop));
    }
    steps.push_back(fused ? decode_strip_first(content, start)
                          : decode_strip(content, start, stop));
  } else if (fused) {
    part.fail(fmt::format("is of the type {} behind Fuse", printable(type)));
  } else if (type == "ByteLevel") {
    part.ignore({"add_prefix_space", "trim_offsets", "use_regex"});
    steps.push_back(decode_byte_level());
  } else if (type == "ByteFallback") {
    steps.push_back(decode_byte_fallback());
  } else if (type == "Replace") {
    steps.push_back(
        decode_replace(read_json_pattern(part.object("pattern")), part.text("content")));
  } else if (type == "Metaspace") {
    part.ignore({"split", "str_rep"});
    const std::string scheme =
        part.text("prepend_scheme", part.flag("add_prefix_space", true) ? "always" : "never");
    steps.push_back(decode_metaspace(part.text("replacement"), scheme != "never"));
  } else {
    part.fail(fmt::format("is of the type {}, which is not understood", printable(type)));
  }
  part.done();
}

}  // namespace

void read_json_decoder(JsonPart part, DecodeSteps& steps) {
  bool fused = false;
  if (part.is_null()) {
    steps.push_back(decode_words());
  } else {
    read_step(part, fused, steps);
  }
}

}  // namespace octet
