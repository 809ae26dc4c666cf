// Reductions over the threads of a block, in one order whatever else runs. Every thread calls them
// and gets the result; blockDim.x is a multiple of 32, at most 1024; each call ends with a barrier
// after which `shared` may be used again.
#pragma once

#include "kernels/cuda/device.cuh"

namespace octet::cuda {

inline constexpr int kReduceFloats = 32;  // elements of `shared`

template <typename T, typename Combine>
__device__ T block_reduce(T value, T* shared, const Combine& combine) {
  for (int offset = 16; offset > 0; offset /= 2) {
    value = combine(value, __shfl_xor_sync(0xffffffffu, value, offset));
  }
  if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = value;
  __syncthreads();
  T total = shared[0];
  for (int warp = 1; warp < static_cast<int>(blockDim.x) / 32; ++warp) {
    total = combine(total, shared[warp]);
  }
  __syncthreads();
  return total;
}

template <typename T>
__device__ T block_sum(T value, T* shared) {
  return block_reduce(value, shared, [](T a, T b) { return a + b; });
}

__device__ inline float block_max(float value, float* shared) {
  return block_reduce(value, shared, [](float a, float b) { return fmaxf(a, b); });
}

}  // namespace octet::cuda
