#include <utility>

#include "runtime/tokenizer/tokenizer.h"
#include "runtime/tokenizer/utf8.h"

namespace octet {

StreamDecoder::StreamDecoder(const Tokenizer& tokenizer, bool skip_special)
    : tokenizer_(tokenizer), skip_special_(skip_special) {}

std::string StreamDecoder::push(int32_t id) {
  if (skip_special_ && tokenizer_.is_special(id)) return "";
  pending_ += tokenizer_.token_bytes(id, skip_special_, std::exchange(at_start_, false));
  return take_utf8(pending_, false);
}

std::string StreamDecoder::finish() { return take_utf8(pending_, true); }

}  // namespace octet
