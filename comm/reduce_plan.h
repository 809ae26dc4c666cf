// ReducePlan: which subtree roots each rank of a group sends, and in which order they are added
// (see kernels/reduction_tree.h). A value, made once per model part (attention, MLP, embedding);
// immutable, any thread.
#pragma once

#include <span>
#include <vector>

#include "kernels/reduction_tree.h"

namespace octet {

class ReducePlan {
 public:
  // The tree over num_shards leaves on `size` ranks, runs by rank_shards. REQUIRES: num_shards >=
  // 1, size >= 1.
  ReducePlan(int num_shards, int size);

  int num_shards() const { return num_shards_; }
  int size() const { return static_cast<int>(first_root_.size()) - 1; }
  // Roots of all ranks, in leaf order, are numbered 0..num_roots(); rank r sends [first_root(r),
  // first_root(r + 1)).
  int num_roots() const { return first_root_.back(); }
  int first_root(int rank) const { return first_root_[rank]; }
  int num_roots(int rank) const { return first_root_[rank + 1] - first_root_[rank]; }
  int max_roots_per_rank() const;
  // Folds slots 0..num_roots() (all ranks' roots) into slot 0.
  std::span<const TreeAdd> adds() const { return adds_; }

 private:
  int num_shards_;
  std::vector<int> first_root_;
  std::vector<TreeAdd> adds_;
};

}  // namespace octet
