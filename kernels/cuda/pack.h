// Lays rows of int8 weights out as linear_call.h says.
#pragma once

#include <cuda_runtime.h>

#include "kernels/cuda/linear_call.h"

namespace octet::cuda {

struct PackCall {
  const int8_t* rows = nullptr;  // [count, in]: rows [first, first + count) of the weight
  int first = 0, count = 0;
  int in = 0, padded_in = 0, padded_rows = 0;
  int gates = 0;  // kSiluGate: how many; else 0
  int num_leaves = 0;
  int begin[kMaxShards + 1] = {};
  int place[kMaxShards + 1] = {};
  int8_t* packed = nullptr;
};

void pack_rows(const PackCall& call, cudaStream_t stream);

// The packed output of a weight's row.
constexpr int packed_row(int row, int gates) {
  if (gates == 0) return row;
  return row < gates ? 2 * row : 2 * (row - gates) + 1;
}

}  // namespace octet::cuda
