#include "runtime/tokenizer/vocabulary.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "runtime/formats/printable.h"
#include "runtime/request/error.h"

namespace octet {

std::optional<int32_t> find_piece(const PieceIds& ids, std::string_view piece) {
  const auto place = ids.find(piece);
  if (place == ids.end()) return std::nullopt;
  return place->second;
}

void Vocabulary::add_eos(int32_t id) {
  if (std::find(eos.begin(), eos.end(), id) == eos.end()) eos.push_back(id);
}

void Vocabulary::set_piece(const std::string& piece, int64_t id, const std::string& where) {
  constexpr int64_t kMostIds = 1 << 22;
  if (id < 0 || id >= kMostIds) {
    throw InputError(fmt::format("{} gives {} the id {}", where, printable(piece), id));
  }
  if (id >= static_cast<int64_t>(pieces.size())) {
    pieces.resize(id + 1);
    special.resize(id + 1, false);
  }
  if (!pieces[id].empty() && pieces[id] != piece) {
    throw InputError(fmt::format("{} gives the id {} to {} and to {}", where, id,
                                 printable(pieces[id]), printable(piece)));
  }
  pieces[id] = piece;
  ids.insert_or_assign(piece, static_cast<int32_t>(id));
}

void Vocabulary::add_token(AddedToken token, int64_t id, const std::string& where) {
  set_piece(token.text, id, where);
  token.id = static_cast<int32_t>(id);
  special[id] = token.special;
  added.push_back(std::move(token));
}

}  // namespace octet
