#include "runtime/tokenizer/unigram_model.h"

#include <utility>

#include "runtime/tokenizer/unicode.h"

namespace octet {
namespace {

// The best path that ends at a byte of the word.
struct Node {
  double score = 0;
  int32_t id = -1;
  int64_t begin = -1;  // of its last piece; -1: nothing ends here
};

}  // namespace

UnigramModel::UnigramModel(UnigramPieces pieces, const PieceIds& byte_ids)
    : pieces_(std::move(pieces)),
      index_({pieces_.ids.begin(), pieces_.ids.end()}),
      bytes_(byte_ids) {}

void UnigramModel::encode(std::string_view word, std::vector<int32_t>& ids) const {
  std::vector<Node> best(word.size() + 1);
  for (size_t i = 0; i < word.size();) {
    const size_t character = code_point_at(word, i).length;
    bool single = false;  // is the character alone a piece?
    const auto offer = [&](size_t length, int32_t id, double score) {
      Node& end = best[i + length];
      double candidate = score + best[i].score;
      if (pieces_.single_precision) candidate = static_cast<float>(candidate);
      if (end.begin >= 0 && candidate <= end.score) return;
      end = {candidate, id, static_cast<int64_t>(i)};
    };
    index_.for_each_prefix(word.substr(i), [&](const PrefixIndex::Found& found) {
      offer(found.length, found.value, pieces_.scores[found.value]);
      single = single || found.length == character;
    });
    if (!single) offer(character, pieces_.unknown, pieces_.unknown_score);
    i += character;
  }
  struct Stretch {
    size_t begin, end;
    int32_t id;
  };
  std::vector<Stretch> path;  // from the end
  for (size_t end = word.size(); end > 0; end = static_cast<size_t>(best[end].begin)) {
    const Node& node = best[end];
    const auto begin = static_cast<size_t>(node.begin);
    const bool unknown = node.id == pieces_.unknown;
    if (unknown && !path.empty() && path.back().id == pieces_.unknown) {
      path.back().begin = begin;
    } else {
      path.push_back({begin, end, node.id});
    }
  }
  for (; !path.empty(); path.pop_back()) {
    const Stretch& stretch = path.back();
    if (stretch.id != pieces_.unknown) {
      ids.push_back(stretch.id);
    } else {
      put(word.substr(stretch.begin, stretch.end - stretch.begin), ids);
    }
  }
}

void UnigramModel::put(std::string_view stretch, std::vector<int32_t>& ids) const {
  if (const auto id = find_piece(pieces_.ids, stretch)) return ids.push_back(*id);
  if (pieces_.byte_fallback && bytes_.spell(stretch, ids)) return;
  ids.push_back(pieces_.unknown);
}

}  // namespace octet
