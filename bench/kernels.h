// The back end's operations one by one, against the limits.
#pragma once

#include <string>

#include "bench/limits.h"
#include "kernels/backend_factory.h"

namespace octet::bench {

// Runs those whose name matches `filter` (a regular expression) on the back end of `options`:
//   linear/SHAPE/M:m        weights of at least bytes_beyond_caches() in turn
//   linear_outliers/...     the same with outliers in one input of a thousand, llm-int8 only
//   quantise/K/M:m          a product with 16 outputs, next to nothing but the input's quantising
//   attention/SHAPE/...     prefill of 512 rows; decode of a batch
//   add_norm/H/M:m
//   fold_then_norm/..., norm_of_roots/...   two ranks' sums before the norm, and in it
void run_kernels(const BackendOptions& options, Int8Product product, const Limits& limits,
                 const std::string& filter);

}  // namespace octet::bench
