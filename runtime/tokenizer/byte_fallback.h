// ByteFallback: the 256 tokens that spell what is in no piece. Immutable; any thread.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "runtime/tokenizer/byte_alphabet.h"
#include "runtime/tokenizer/vocabulary.h"

namespace octet {

class ByteFallback {
 public:
  explicit ByteFallback(const PieceIds& ids) {
    for (size_t byte = 0; byte < ids_.size(); ++byte) {
      ids_[byte] = find_piece(ids, byte_token(static_cast<uint8_t>(byte))).value_or(-1);
    }
  }

  // Appends the tokens of `text` and returns true, unless one of them is missing.
  bool spell(std::string_view text, std::vector<int32_t>& ids) const {
    for (const char c : text) {
      if (ids_[static_cast<uint8_t>(c)] < 0) return false;
    }
    for (const char c : text) ids.push_back(ids_[static_cast<uint8_t>(c)]);
    return true;
  }

 private:
  std::array<int32_t, 256> ids_{};
};

}  // namespace octet
