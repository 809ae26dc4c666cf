// TextPart: a stretch of text between added tokens, on its way to the model.
#pragma once

#include <string>

namespace octet {

struct TextPart {
  std::string text;  // UTF-8
  // Does it begin with what the whole text began with? (What is put before it does not change
  // that.)
  bool at_start = false;
};

}  // namespace octet
