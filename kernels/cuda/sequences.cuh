// Which sequence a row of the call belongs to.
#pragma once

#include "kernels/cuda/attention_call.h"
#include "kernels/cuda/device.cuh"

namespace octet::cuda {

// The last sequence that begins at or before the row.
__device__ inline int sequence_of(const AttentionCall& call, int row) {
  int low = 0, high = call.num_seqs - 1;
  while (low < high) {
    const int middle = (low + high + 1) / 2;
    if (call.cu_seqlens[middle] <= row) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  return low;
}

}  // namespace octet::cuda
