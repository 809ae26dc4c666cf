#include "comm/nccl/fold_plan.h"

#include <array>
#include <bit>

#include "kernels/check.h"

namespace octet::peers {

FoldPlan fold_plan(const ReducePlan& plan) {
  const auto adds = plan.adds();
  OCTET_CHECK(plan.num_roots() <= kMaxShards, "{} roots", plan.num_roots());
  FoldPlan fold{.num_roots = plan.num_roots(),
                .pairwise = std::has_single_bit(static_cast<unsigned>(plan.num_roots()))};
  std::array<int, kMaxShards> summed;  // how many roots slot i is the sum of
  summed.fill(1);
  for (size_t i = 0; i < adds.size(); ++i) {
    const auto [target, source] = adds[i];
    fold.target[i] = static_cast<int8_t>(target);
    fold.source[i] = static_cast<int8_t>(source);
    fold.pairwise &= summed[target] == source - target && summed[source] == source - target;
    summed[target] += summed[source];
  }
  return fold;
}

}  // namespace octet::peers
