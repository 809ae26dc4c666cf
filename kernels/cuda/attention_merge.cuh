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

// to: [heads][head_dim]. All of the block. Each lane finds the factors of a split for its warp:
// only the multiplying is a chain.
template <int kThreads>
__device__ inline void merge_splits(const PartialSums& partials, int first_split, int last_split,
                                    int heads, float* to) {
  constexpr int kBatch = 16;  // splits whose loads fly together
  const int d = partials.head_dim, pieces = (d + 31) / 32, stride = partials.heads * (d + 2);
  const int lane = static_cast<int>(threadIdx.x) % 32;
  for (int i = static_cast<int>(threadIdx.x) / 32; i < heads * pieces; i += kThreads / 32) {
    const int head = i / pieces, dim = i % pieces * 32 + lane;
    float total = 0, sum = 0, maximum = -INFINITY;
    for (int batch = first_split; batch <= last_split; batch += kBatch) {
      const int count = min(kBatch, last_split - batch + 1);
      const float* part = partials.at(batch, head);
      const float* mine = part + int64_t{min(lane, count - 1)} * stride + d;
      const float own_sum = __ldcg(mine), own = lane < count ? __ldcg(mine + 1) : -INFINITY;
      float values[kBatch];
      const float* value = part + min(dim, d - 1);
#pragma unroll
      for (int j = 0; j < kBatch; ++j) {
        values[j] = __ldcg(value);
        if (j + 1 < count) value += stride;
      }
      float joint = own;
#pragma unroll
      for (int offset = 1; offset < kBatch; offset *= 2) {
        const float before = __shfl_up_sync(0xffffffffu, joint, offset);
        if (lane >= offset) joint = fmaxf(joint, before);
      }
      joint = fmaxf(joint, maximum);
      float before = __shfl_up_sync(0xffffffffu, joint, 1);
      if (lane == 0) before = maximum;
      const float a = rescale(before, joint), b = rescale(own, joint);
#pragma unroll
      for (int j = 0; j < kBatch; ++j) {
        const float of_total = __shfl_sync(0xffffffffu, a, j),
                    of_part = __shfl_sync(0xffffffffu, b, j);
        if (j < count) {
          total = merge(total, of_total, values[j], of_part);
          sum = merge(sum, of_total, __shfl_sync(0xffffffffu, own_sum, j), of_part);
        }
      }
      maximum = __shfl_sync(0xffffffffu, joint, kBatch - 1);
    }
    if (dim < d) to[head * d + dim] = result(total, sum);
  }
}

}  // namespace octet::cuda
