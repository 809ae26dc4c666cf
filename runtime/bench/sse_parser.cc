#include "runtime/bench/sse_parser.h"

#include <fmt/format.h>

#include "runtime/request/error.h"

namespace octet {

void SseParser::feed(std::string_view bytes) {
  for (const char c : bytes) {
    const bool second_half = c == '\n' && after_return_;
    after_return_ = c == '\r';
    if (second_half) continue;
    if (c == '\n' || c == '\r') {
      end_line();
      continue;
    }
    line_ += c;
    if (line_.size() + data_.size() > kMostBytes)
      throw InputError(fmt::format("an event of more than {} bytes", kMostBytes));
  }
}

void SseParser::end_line() {
  if (line_.empty()) {
    if (has_data_) on_data_(data_);
    data_.clear();
    has_data_ = false;
    return;
  }
  if (line_.starts_with("data:")) {
    if (has_data_) data_ += '\n';
    data_ += line_.substr(line_.starts_with("data: ") ? 6 : 5);
    has_data_ = true;
  }
  line_.clear();
}

}  // namespace octet
