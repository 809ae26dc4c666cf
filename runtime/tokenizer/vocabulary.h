// Vocabulary: what all schemes share: pieces and ids, special tokens and where they stand in a
// text, what ends a generation. Filled by the readers (gguf_tokenizer.cc, json_tokenizer.cc),
// immutable afterwards.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace octet {

// A token that is looked for in the text before anything else.
struct AddedToken {
  std::string text;
  int32_t id = -1;
  bool special = true;                  // a control token: only with parse_special
  bool lstrip = false, rstrip = false;  // takes the white space before, behind it
};

struct Vocabulary {
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };

  std::vector<std::string> pieces;  // by id, as the file spells them; "" where the file has none
  std::vector<bool> special;        // by id: nothing of it is text
  std::unordered_map<std::string, int32_t, Hash, std::equal_to<>> ids;
  std::vector<AddedToken> added;
  std::vector<int32_t> prefix, suffix;  // what add_special puts around
  std::optional<int32_t> bos;
  std::vector<int32_t> eos;
  std::string chat_template;

  std::optional<int32_t> find(std::string_view piece) const;
  void add_eos(int32_t id);  // once

  // Calls text(part) and token(added) for the parts of the text in order.
  void split(std::string_view text, bool parse_special,
             const std::function<void(std::string_view)>& on_text,
             const std::function<void(const AddedToken&)>& on_token) const;

  // After `added` is complete.
  void index_added();

 private:
  std::array<std::vector<const AddedToken*>, 256> by_first_byte_;  // longest first
};

}  // namespace octet
