// What the int8 kernels of one linear layer need, as plain data that is passed to them by value.
// All pointers are device memory.
//
// Packed weights, one layout for all kernels. The columns of each shard are padded with zeros to a
// multiple of kSpan; outputs to a multiple of kRowAlign. For Activation::kSiluGate packed output 2o
// is gate o and 2o + 1 is up o. Element (output, k) is byte
//   ((k / 64) * padded_rows + output) * 64 + ((k % 64 / 16) ^ (output / 2 % 4)) * 16 + k % 16:
// R outputs of one span are R * 64 bytes in one piece, swizzled as tensor cores read them from
// shared memory.
#pragma once

#include <cstdint>

#include "kernels/backend.h"

namespace octet::cuda {

inline constexpr int kSpan = 64;       // columns
inline constexpr int kRowAlign = 128;  // outputs

// Bytes of a row of LinearCall::spans: whole 16s; those behind the last span are 0.
constexpr int64_t span_stride(int64_t padded_in) { return (padded_in / kSpan + 15) / 16 * 16; }

struct LinearCall {
  // The quantised input; a leaf is a shard of this rank. `high` holds what counts only where a row
  // has outliers in the leaf and the span is flagged, and no more than any int8 elsewhere.
  int n = 0;
  bool mixed = false;                 // kLlmInt8: are there high digits?
  const int8_t* low = nullptr;        // [n, padded_in]
  const int8_t* high = nullptr;       // [n, padded_in]
  const uint8_t* spans = nullptr;     // [n, span_stride(padded_in)]: 1 where an outlier is
  const float* row_scales = nullptr;  // [n, num_leaves]; NaN: the slice is not finite
  const int32_t* outliers = nullptr;  // [n, num_leaves]; 0: it has none

  const int8_t* weight = nullptr;  // packed
  const float* scales = nullptr;   // [padded_rows]
  const float* bias = nullptr;     // [padded_rows] or null
  int padded_in = 0;
  int padded_rows = 0;
  int rows = 0;          // packed outputs that are not padding
  int out_features = 0;  // after the activation
  Activation activation = Activation::kNone;

  int num_leaves = 0;
  int num_roots = 0;
  int place[kMaxShards + 1] = {};       // leaf l: padded columns [place[l], place[l + 1])
  int first_leaf[kMaxShards + 1] = {};  // root r: leaves [first_leaf[r], first_leaf[r + 1])

  float* out = nullptr;  // [num_roots, n, out_features]

  // Integer sums of blocks that share a tile, and how many of them have come; zero between calls.
  int32_t* sums = nullptr;
  unsigned* arrivals = nullptr;
};

}  // namespace octet::cuda
