// fold_roots: adds the roots of all ranks in a plan's order, a block of elements at a time, so that
// the partial sums stay in the first-level cache. Pure; any thread.
#pragma once

#include <cstddef>
#include <span>

#include "comm/reduce_plan.h"

namespace octet {

// out[i] = the plan's tree over roots[0][i], roots[1][i], ... for i in [0, count).
void fold_roots(const ReducePlan& plan,
                std::span<const float* const> roots,  // [plan.num_roots()], each [count]
                size_t count,
                float* out);  // [count], may be none of the roots

}  // namespace octet
