// Products of float rows and weights of any type: unquantised layers, heads, and kW8A16.
//
// The one order of a leaf's sum: lane l of a warp has the groups of 8 columns l, l + 32, ...,
// counted from the leaf's first column, and adds their products one after the other; the lanes are
// added in halves (lane l and l ^ 16, l ^ 8, ...).
#pragma once

#include <cuda_runtime.h>

#include "kernels/backend.h"

namespace octet::cuda {

struct FloatLinearCall {
  int n = 0, in = 0;
  const float* x = nullptr;      // [n, in]
  const void* weight = nullptr;  // [rows, in]
  DType dtype = DType::kF32;
  const float* scales = nullptr;  // [rows]; kI8, else null
  const float* bias = nullptr;    // [rows] or null
  int out_features = 0;           // kSiluGate: output o is of rows o and out_features + o
  Activation activation = Activation::kNone;
  int num_leaves = 0, num_roots = 0;
  int begin[kMaxShards + 1] = {};       // leaf l: columns [begin[l], begin[l + 1])
  int first_leaf[kMaxShards + 1] = {};  // root r: leaves [first_leaf[r], first_leaf[r + 1])
  float* out = nullptr;                 // [num_roots, n, out_features]
};

void float_linear(const FloatLinearCall& call, cudaStream_t stream);

}  // namespace octet::cuda
