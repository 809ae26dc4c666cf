// FoldPlan: a ReducePlan as kernels take it, by value.
#pragma once

#include <cstdint>

#include "comm/reduce_plan.h"

namespace octet::peers {

struct FoldPlan {
  int num_roots = 0;
  bool pairwise = false;  // roots are 2^k and neighbours are added, then their sums, and so on
  // Otherwise root target[i] += root source[i], for i in [0, num_roots - 1).
  int8_t target[kMaxShards] = {};
  int8_t source[kMaxShards] = {};
};

FoldPlan fold_plan(const ReducePlan& plan);  // REQUIRES: at most kMaxShards roots

}  // namespace octet::peers
