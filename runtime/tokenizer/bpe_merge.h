// bpe_merge: byte-pair merging, whatever decides which pair goes first. O(n log n) in the number of
// symbols.
#pragma once

#include <cstdint>
#include <optional>
#include <queue>
#include <vector>

namespace octet {

// A piece of the text being merged: bytes [begin, begin + length).
struct BpeSymbol {
  uint32_t begin = 0, length = 0;  // length 0: merged into its left neighbour
  int32_t id = -1;                 // -1: not in the vocabulary
  int32_t prev = -1, next = -1;
};

// What merging two neighbours makes; the lowest priority goes first, then the leftmost.
struct BpeMerge {
  double priority = 0;
  int32_t id = -1;
};

// find(left, right) -> std::optional<BpeMerge>. Links the symbols, merges until nothing can be;
// afterwards follow `next` from symbol 0.
template <typename Find>
void bpe_merge(std::vector<BpeSymbol>& symbols, const Find& find) {
  struct Candidate {
    double priority;
    int32_t left, right;
    uint32_t length;  // of both when found; stale where it no longer fits
    int32_t id;
    bool operator<(const Candidate& other) const {
      return priority > other.priority || (priority == other.priority && left > other.left);
    }
  };
  std::priority_queue<Candidate> queue;
  const auto consider = [&](int32_t left, int32_t right) {
    if (left < 0 || right < 0) return;
    const std::optional<BpeMerge> merge = find(symbols[left], symbols[right]);
    if (!merge) return;
    queue.push(
        {merge->priority, left, right, symbols[left].length + symbols[right].length, merge->id});
  };
  const int32_t count = static_cast<int32_t>(symbols.size());
  for (int32_t i = 0; i < count; ++i) {
    symbols[i].prev = i - 1;
    symbols[i].next = i + 1 < count ? i + 1 : -1;
  }
  for (int32_t i = 0; i + 1 < count; ++i) consider(i, i + 1);
  while (!queue.empty()) {
    const Candidate best = queue.top();
    queue.pop();
    BpeSymbol& left = symbols[best.left];
    BpeSymbol& right = symbols[best.right];
    if (left.length == 0 || right.length == 0 || left.length + right.length != best.length)
      continue;
    left.length = best.length;
    left.id = best.id;
    left.next = right.next;
    right.length = 0;
    if (left.next >= 0) symbols[left.next].prev = best.left;
    consider(left.prev, best.left);
    consider(best.left, left.next);
  }
}

}  // namespace octet
