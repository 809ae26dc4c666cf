// Elements of weights, tables and caches as floats.
#pragma once

#include "kernels/cuda/device.cuh"

namespace octet::cuda {

__device__ inline float to_float(float x) { return x; }
__device__ inline float to_float(__nv_bfloat16 x) { return __bfloat162float(x); }
__device__ inline float to_float(__half x) { return __half2float(x); }
__device__ inline float to_float(int8_t x) { return static_cast<float>(x); }

__device__ inline void store_as(float* to, float x) { *to = x; }
__device__ inline void store_as(__nv_bfloat16* to, float x) { *to = __float2bfloat16_rn(x); }

}  // namespace octet::cuda
