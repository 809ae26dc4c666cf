// The one order in which the partial sums of a row-parallel product are added
// (docs/architecture.md, contract 1).
//
// A row-parallel weight is cut along K into R reduction shards, the leaves 0..R-1 of a binary tree.
// The root covers [0, R); a node [b, e) with more than one leaf has the children [b, m) and [m, e),
// m = b + the largest power of two below e - b. The value of a node is value(left) + value(right)
// in fp32. A rank owns a contiguous run of leaves, adds the complete subtrees inside it, and sends
// their roots; whoever has all roots adds the rest. The bits of the sum are those of the tree,
// whoever added which node.
//
// Pure functions of integers; any thread.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace octet {

// The most leaves that a tree may have; kernels have room for the bounds and sums of that many.
inline constexpr int kMaxShards = 16;

// Leaves [begin, end).
struct ShardRange {
  int begin = 0;
  int end = 0;
  int size() const { return end - begin; }
  bool operator==(const ShardRange&) const = default;
};

// slot[target] = slot[target] + slot[source]; target < source.
struct TreeAdd {
  int target = 0;
  int source = 0;
  bool operator==(const TreeAdd&) const = default;
};

// A sum that is still to be made: slot i is roots[i], and `adds` fold the slots into slot 0.
// Borrowed.
struct UnfoldedSum {
  std::span<const float* const> roots;  // [slots], each [count]
  std::span<const TreeAdd> adds;
  bool empty() const { return roots.empty(); }
};

// The leaves of rank `rank` of `size`: contiguous, in rank order, sizes differing by at most one
// (the first num_shards % size ranks own one more). Empty runs where size > num_shards.
ShardRange rank_shards(int num_shards, int rank, int size);

// The maximal complete subtrees of the tree over num_shards leaves inside `run`, left to right.
std::vector<ShardRange> subtree_roots(int num_shards, ShardRange run);

// The adds that fold `nodes` (disjoint subtrees, left to right, together all leaves of `target`,
// itself a node of the tree over num_shards leaves) into slot 0, in an order that computes the
// tree's value. Slot i starts as nodes[i].
std::vector<TreeAdd> fold_order(int num_shards, ShardRange target,
                                std::span<const ShardRange> nodes);

// Cuts n things into `parts` runs whose sizes differ by at most one: run i is [balanced_cut(n,
// parts, i), balanced_cut(n, parts, i + 1)) = [i * n / parts, (i + 1) * n / parts).
int64_t balanced_cut(int64_t n, int64_t parts, int64_t i);

}  // namespace octet
