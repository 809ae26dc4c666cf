// fold: makes an UnfoldedSum, a block of elements at a time, so that the partial sums stay in the
// first-level cache. Pure; any thread.
#pragma once

#include <cstddef>

#include "kernels/reduction_tree.h"

namespace octet {

// out[i] = element first + i of the sum, for i in [0, count). REQUIRES: `out` is in none of the
// roots; the sum is not empty.
void fold(const UnfoldedSum& sum, size_t first, size_t count, float* out);

}  // namespace octet
