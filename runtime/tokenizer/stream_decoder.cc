#include "runtime/tokenizer/tokenizer.h"
#include "runtime/tokenizer/utf8.h"

namespace octet {

StreamDecoder::StreamDecoder(const Tokenizer& tokenizer, bool skip_special)
    : tokenizer_(tokenizer), skip_special_(skip_special) {}

std::string StreamDecoder::push(int32_t id) {
  std::string bytes = tokenizer_.token_bytes(id, skip_special_);
  if (at_start_ && !bytes.empty()) {
    at_start_ = false;
    if (tokenizer_.drops_first_space() && bytes[0] == ' ') bytes.erase(0, 1);
  }
  pending_ += bytes;
  return take_utf8(pending_, false);
}

std::string StreamDecoder::finish() { return take_utf8(pending_, true); }

}  // namespace octet
