#include "runtime/tokenizer/vocabulary.h"

#include <algorithm>

namespace octet {
namespace {

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

}  // namespace

std::optional<int32_t> Vocabulary::find(std::string_view piece) const {
  const auto place = ids.find(piece);
  if (place == ids.end()) return std::nullopt;
  return place->second;
}

void Vocabulary::add_eos(int32_t id) {
  if (std::find(eos.begin(), eos.end(), id) == eos.end()) eos.push_back(id);
}

void Vocabulary::index_added() {
  for (auto& tokens : by_first_byte_) tokens.clear();
  for (const AddedToken& token : added) {
    if (!token.text.empty()) by_first_byte_[static_cast<uint8_t>(token.text[0])].push_back(&token);
  }
  for (auto& tokens : by_first_byte_) {
    std::stable_sort(tokens.begin(), tokens.end(), [](const AddedToken* a, const AddedToken* b) {
      return a->text.size() > b->text.size();
    });
  }
}

void Vocabulary::split(std::string_view text, bool parse_special,
                       const std::function<void(std::string_view)>& on_text,
                       const std::function<void(const AddedToken&)>& on_token) const {
  size_t begin = 0;
  for (size_t i = 0; i < text.size();) {
    const AddedToken* found = nullptr;
    for (const AddedToken* token : by_first_byte_[static_cast<uint8_t>(text[i])]) {
      if ((parse_special || !token->special) && text.substr(i).starts_with(token->text)) {
        found = token;
        break;
      }
    }
    if (found == nullptr) {
      ++i;
      continue;
    }
    size_t end = i;
    if (found->lstrip) {
      while (end > begin && is_space(text[end - 1])) --end;
    }
    if (end > begin) on_text(text.substr(begin, end - begin));
    on_token(*found);
    i += found->text.size();
    if (found->rstrip) {
      while (i < text.size() && is_space(text[i])) ++i;
    }
    begin = i;
  }
  if (begin < text.size()) on_text(text.substr(begin));
}

}  // namespace octet
