// Rows in int8, as the comment on Backend::linear says: one block of threads a row and leaf.
#pragma once

#include <cuda_runtime.h>

#include "kernels/cuda/linear_call.h"

namespace octet::cuda {

struct QuantizeCall {
  const float* x = nullptr;  // [n, in]
  int n = 0;
  int in = 0;
  int padded_in = 0;
  int num_leaves = 0;
  int begin[kMaxShards + 1] = {};  // leaf l: columns [begin[l], begin[l + 1]) of x
  int place[kMaxShards + 1] = {};  // its first padded column
  bool mixed = false;              // kLlmInt8
  float outlier_threshold = 0;

  int8_t* low = nullptr;                         // [n, padded_in]
  int8_t* high = nullptr;                        // [n, padded_in]; mixed
  uint8_t* spans = nullptr;                      // [n, span_stride(padded_in)]; mixed
  float* row_scales = nullptr;                   // [n, num_leaves]
  int32_t* outliers = nullptr;                   // [n, num_leaves] 0: none; mixed
  unsigned long long* total_outliers = nullptr;  // added to; mixed
};

void quantize_rows(const QuantizeCall& call, cudaStream_t stream);

}  // namespace octet::cuda
