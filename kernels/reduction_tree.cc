#include "kernels/reduction_tree.h"

#include <algorithm>
#include <bit>

#include "kernels/check.h"

namespace octet {
namespace {

int middle(ShardRange node) {
  return node.begin + static_cast<int>(std::bit_floor(static_cast<unsigned>(node.size() - 1)));
}

void collect_roots(ShardRange node, ShardRange run, std::vector<ShardRange>& roots) {
  if (node.end <= run.begin || run.end <= node.begin) return;
  if (run.begin <= node.begin && node.end <= run.end) {
    roots.push_back(node);
    return;
  }
  const int m = middle(node);
  collect_roots({node.begin, m}, run, roots);
  collect_roots({m, node.end}, run, roots);
}

// Folds the nodes inside `node` into the slot of the first of them; returns that slot.
int fold(ShardRange node, std::span<const ShardRange> nodes, std::vector<TreeAdd>& adds) {
  const auto first = std::find_if(nodes.begin(), nodes.end(), [&](const ShardRange& n) {
    return n.begin == node.begin && n.size() > 0;
  });
  OCTET_CHECK(first != nodes.end(), "no node begins at leaf {}", node.begin);
  if (first->end == node.end) return static_cast<int>(first - nodes.begin());
  OCTET_CHECK(node.size() > 1, "node [{}, {}) is not a subtree", first->begin, first->end);
  const int m = middle(node);
  const int left = fold({node.begin, m}, nodes, adds);
  const int right = fold({m, node.end}, nodes, adds);
  adds.push_back({left, right});
  return left;
}

}  // namespace

ShardRange rank_shards(int num_shards, int rank, int size) {
  const int least = num_shards / size, longer = num_shards % size;
  const int begin = rank * least + std::min(rank, longer);
  return {begin, begin + least + (rank < longer ? 1 : 0)};
}

std::vector<ShardRange> subtree_roots(int num_shards, ShardRange run) {
  std::vector<ShardRange> roots;
  if (run.size() > 0) collect_roots({0, num_shards}, run, roots);
  return roots;
}

std::vector<TreeAdd> fold_order(int num_shards, ShardRange target,
                                std::span<const ShardRange> nodes) {
  OCTET_CHECK(target.begin >= 0 && target.begin < target.end && target.end <= num_shards,
              "target [{}, {}) of {} leaves", target.begin, target.end, num_shards);
  std::vector<TreeAdd> adds;
  fold(target, nodes, adds);
  return adds;
}

int64_t balanced_cut(int64_t n, int64_t parts, int64_t i) { return i * n / parts; }

}  // namespace octet
