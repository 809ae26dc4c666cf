// AddedTokens: finds the tokens that stand written out in a text. Immutable; any thread.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "runtime/tokenizer/prefix_index.h"
#include "runtime/tokenizer/vocabulary.h"

namespace octet {

class AddedTokens {
 public:
  struct Part {
    size_t begin = 0, end = 0;
    const AddedToken* token = nullptr;  // null: text
  };

  explicit AddedTokens(std::vector<AddedToken> tokens);

  // The whole text in order, the leftmost and then the longest token first. Special ones are text
  // unless parse_special.
  std::vector<Part> split(std::string_view text, bool parse_special) const;

 private:
  std::vector<AddedToken> tokens_;
  PrefixIndex index_;  // to places in tokens_
};

}  // namespace octet
