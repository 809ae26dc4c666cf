#include "comm/reduce_plan.h"

#include <algorithm>

#include "kernels/check.h"

namespace octet {

ReducePlan::ReducePlan(int num_shards, int size) : num_shards_(num_shards), first_root_{0} {
  OCTET_CHECK(num_shards >= 1 && size >= 1, "{} shards on {} ranks", num_shards, size);
  std::vector<ShardRange> roots;
  for (int rank = 0; rank < size; ++rank) {
    for (const ShardRange root : subtree_roots(num_shards, rank_shards(num_shards, rank, size))) {
      roots.push_back(root);
    }
    first_root_.push_back(static_cast<int>(roots.size()));
  }
  adds_ = fold_order(num_shards, {0, num_shards}, roots);
}

int ReducePlan::max_roots_per_rank() const {
  int most = 0;
  for (int rank = 0; rank < size(); ++rank) most = std::max(most, num_roots(rank));
  return most;
}

}  // namespace octet
