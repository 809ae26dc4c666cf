// Decoder: the last stage of a tokenizer, from pieces to the bytes that they stand for: a chain of
// steps, each seeing one piece alone. Immutable; any thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "runtime/tokenizer/regex.h"

namespace octet {

class DecodeStep {
 public:
  virtual ~DecodeStep() = default;
  // first: nothing of the text stands before it.
  virtual std::string apply(std::string piece, bool first) const = 0;
};

using DecodeSteps = std::vector<std::unique_ptr<DecodeStep>>;

std::unique_ptr<DecodeStep> decode_byte_level();     // stand-ins to bytes
std::unique_ptr<DecodeStep> decode_byte_fallback();  // "<0x0A>" to its byte
std::unique_ptr<DecodeStep> decode_replace(Regex what, std::string with);
std::unique_ptr<DecodeStep> decode_strip(std::string what, size_t left, size_t right);
std::unique_ptr<DecodeStep> decode_strip_first(std::string what, size_t left);  // of the text only
// `replacement` to a space; dropped where the text begins and encoding may have put it there.
std::unique_ptr<DecodeStep> decode_metaspace(std::string replacement, bool drop_first);
std::unique_ptr<DecodeStep> decode_words();  // a space between pieces: the file names no decoder

}  // namespace octet
