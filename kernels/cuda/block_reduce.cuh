// Reductions over the threads of a block, in one order whatever else runs. Every thread calls them
// and gets the result; blockDim.x is a multiple of 32, at most 1024. Each call has one barrier;
// `shared` may be used again after the caller's next one.
#pragma once

#include "kernels/cuda/device.cuh"

namespace octet::cuda {

inline constexpr int kReduceSlots = 32;  // elements of `shared`

// T{}: changes nothing when combined.
template <typename T, typename Combine>
__device__ T block_reduce(T value, T* shared, const Combine& combine) {
  const int lane = threadIdx.x % 32, warps = blockDim.x / 32;
  for (int offset = 16; offset > 0; offset /= 2) {
    value = combine(value, __shfl_xor_sync(0xffffffffu, value, offset));
  }
  if (lane == 0) shared[threadIdx.x / 32] = value;
  __syncthreads();
  T total = lane < warps ? shared[lane] : T{};
  for (int offset = 16; offset > 0; offset /= 2) {
    total = combine(total, __shfl_xor_sync(0xffffffffu, total, offset));
  }
  return total;
}

template <typename T>
__device__ T block_sum(T value, T* shared) {
  return block_reduce(value, shared, [](T a, T b) { return a + b; });
}

// Of magnitudes. The bits of those are ordered as they are, NaNs above all.
__device__ inline float block_max(float value, uint32_t* shared) {
  const int lane = threadIdx.x % 32, warps = blockDim.x / 32;
  const uint32_t of_warp = __reduce_max_sync(0xffffffffu, __float_as_uint(value));
  if (lane == 0) shared[threadIdx.x / 32] = of_warp;
  __syncthreads();
  return __uint_as_float(__reduce_max_sync(0xffffffffu, lane < warps ? shared[lane] : 0u));
}

__device__ inline float warp_sum(float value) {
  for (int offset = 16; offset > 0; offset /= 2) {
    value += __shfl_xor_sync(0xffffffffu, value, offset);
  }
  return value;
}

// The same, and a sum, behind one barrier.
struct MaxAndSum {
  float max, sum;
};
__device__ inline MaxAndSum block_max_and_sum(float value, float sum, uint32_t* maxima,
                                              float* sums) {
  const int lane = threadIdx.x % 32, warps = blockDim.x / 32;
  const float of_warp = warp_sum(sum);
  if (lane == 0) sums[threadIdx.x / 32] = of_warp;
  const float max = block_max(value, maxima);
  return {max, warp_sum(lane < warps ? sums[lane] : 0.0f)};
}

}  // namespace octet::cuda
