// Vocabulary: pieces and ids, what stands around a text and what ends a generation. Filled by the
// readers (readers.h), immutable afterwards.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace octet {

struct TransparentHash {
  using is_transparent = void;
  size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
};
using PieceIds = std::unordered_map<std::string, int32_t, TransparentHash, std::equal_to<>>;

std::optional<int32_t> find_piece(const PieceIds& ids, std::string_view piece);

// A token that is looked for in the text before anything else.
struct AddedToken {
  std::string text;
  int32_t id = -1;
  bool special = true;                  // a control token: only with parse_special
  bool lstrip = false, rstrip = false;  // takes the white space before, behind it
  bool single_word = false;             // not beside a letter
  bool normalized = false;              // looked for in the normalised text
};

struct Vocabulary {
  std::vector<std::string> pieces;  // by id, as the file spells them; "" where the file has none
  std::vector<bool> special;        // by id: nothing of it is text
  PieceIds ids;
  std::vector<AddedToken> added;
  std::vector<int32_t> prefix, suffix;  // what add_special puts around (the post-processor)
  std::optional<int32_t> bos;
  std::vector<int32_t> eos;
  std::string chat_template;

  std::optional<int32_t> find(std::string_view piece) const { return find_piece(ids, piece); }
  void add_eos(int32_t id);  // once

  // Throws InputError beginning with `where`: an id below 0 or of another piece, or an enormous
  // one.
  void set_piece(const std::string& piece, int64_t id, const std::string& where);
  // The same, and looks for it in texts from then on.
  void add_token(AddedToken token, int64_t id, const std::string& where);
};

}  // namespace octet
