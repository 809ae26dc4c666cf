// The end of attention_decode: the block that comes last merges the splits of all.
#pragma once

#include "kernels/cuda/attention.cuh"

namespace octet::cuda {

// [splits][heads][head_dim + 2]: values, sum, maximum.
struct PartialSums {
  float* first;
  int heads, head_dim;

  __device__ float* at(int split, int head) const {
    return first + (int64_t{split} * heads + head) * (head_dim + 2);
  }
};

// Has the last of `blocks` blocks come? All of the block; `shared` is its own. What its threads
// wrote before the barrier is seen by others behind one thread's fence.
__device__ inline bool last_to_come(unsigned* arrivals, int blocks, int* shared) {
  __syncthreads();
  if (threadIdx.x == 0) {
    __threadfence();
    *shared = atomicAdd(arrivals, 1u) + 1 == static_cast<unsigned>(blocks);
    if (*shared != 0) *arrivals = 0;
    __threadfence();
  }
  __syncthreads();
  return *shared != 0;
}

// to: [heads][head_dim]. All of the block.
template <int kThreads>
__device__ inline void merge_splits(const PartialSums& partials, int first_split, int last_split,
                                    int heads, float* to) {
  constexpr int kBatch = 16;  // splits whose loads fly together
  const int d = partials.head_dim;
  for (int i = threadIdx.x; i < heads * d; i += kThreads) {
    const int head = i / d, dim = i % d;
    float total = 0, sum = 0, maximum = -INFINITY;
    for (int batch = first_split; batch <= last_split; batch += kBatch) {
      float maxima[kBatch], sums[kBatch], values[kBatch];
#pragma unroll
      for (int j = 0; j < kBatch; ++j) {
        const float* part = partials.at(min(batch + j, last_split), head);
        maxima[j] = __ldcg(part + d + 1);
        sums[j] = __ldcg(part + d);
        values[j] = __ldcg(part + dim);
      }
#pragma unroll
      for (int j = 0; j < kBatch; ++j) {
        if (batch + j > last_split) break;
        const float joint = fmaxf(maximum, maxima[j]);
        const float a = rescale(maximum, joint), b = rescale(maxima[j], joint);
        total = merge(total, a, values[j], b);
        sum = merge(sum, a, sums[j], b);
        maximum = joint;
      }
    }
    to[i] = result(total, sum);
  }
}

}  // namespace octet::cuda
