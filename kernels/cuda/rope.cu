// rope_store: one warp a head of a row; query and key heads are normalised and rotated in place,
// then k and v are stored in the cache. Where there is neither, query heads are left out.
#include "kernels/cuda/held_row.cuh"
#include "kernels/cuda/numbers.cuh"
#include "kernels/cuda/ops.h"

namespace octet::cuda {
namespace {

constexpr int kHeadsOfBlock = 8;

__device__ void normalise(float* x, const float* weight, int d, float eps) {
  const int lane = threadIdx.x;
  float squares = 0;
  for (int k = lane; k < d; k += 32) squares = fmaf(x[k], x[k], squares);
  for (int offset = 16; offset > 0; offset /= 2) {
    squares += __shfl_xor_sync(0xffffffffu, squares, offset);
  }
  const float inverse = 1.0f / sqrtf(squares / static_cast<float>(d) + eps);
  for (int k = lane; k < d; k += 32) x[k] = x[k] * inverse * weight[k];
  __syncwarp();
}

// Columns [k, k + 4) of a vector of d; zeros behind.
__device__ Four load_four(const float* x, int d, int k) {
  return d % 4 == 0 ? *reinterpret_cast<const Four*>(x + k) : four_at(x, d, k);
}

template <typename T>
__device__ void store_four(T* to, int d, int k, const T (&values)[4]) {
  struct alignas(4 * sizeof(T)) Packed {
    T values[4];
  };
  if (d % 4 == 0) {
    *reinterpret_cast<Packed*>(to + k) = *reinterpret_cast<const Packed*>(values);
    return;
  }
  for (int j = 0; j < 4 && k + j < d; ++j) to[k + j] = values[j];
}

// A vector as the cache keeps it; `scale` is that of int8.
template <typename T>
__device__ void store_vector(T* to, float*, const float* x, int d) {
  for (int k = 4 * threadIdx.x; k < d; k += 4 * 32) {
    const Four four = load_four(x, d, k);
    alignas(16) T values[4];
#pragma unroll
    for (int j = 0; j < 4; ++j) store_as(values + j, four.x[j]);
    store_four(to, d, k, values);
  }
}

__device__ void store_vector(int8_t* to, float* scale, const float* x, int d) {
  float absmax = 0, sum = 0;
  for (int k = 4 * threadIdx.x; k < d; k += 4 * 32) {
    const Four four = load_four(x, d, k);
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      absmax = fmaxf(absmax, fabsf(four.x[j]));
      sum += fabsf(four.x[j]);
    }
  }
  for (int offset = 16; offset > 0; offset /= 2) {
    absmax = fmaxf(absmax, __shfl_xor_sync(0xffffffffu, absmax, offset));
    sum += __shfl_xor_sync(0xffffffffu, sum, offset);
  }
  const bool finite = sum < INFINITY;
  const float inverse = finite && absmax >= kLeastAbsmax ? 127.0f / absmax : 0.0f;
  for (int k = 4 * threadIdx.x; k < d; k += 4 * 32) {
    const Four four = load_four(x, d, k);
    alignas(4) int8_t values[4];
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      values[j] = finite ? static_cast<int8_t>(__float2int_rn(four.x[j] * inverse)) : int8_t{0};
    }
    store_four(to, d, k, values);
  }
  if (threadIdx.x == 0) *scale = finite ? absmax / 127.0f : NAN;
}

template <typename T>
__global__ void rope_kernel(RopeCall call, int first_head) {
  let_successor_start();
  wait_for_predecessor();
  const int lane = threadIdx.x, row = blockIdx.x, d = call.head_dim;
  const int head = first_head + blockIdx.y * kHeadsOfBlock + threadIdx.y;
  if (head >= call.num_q + 2 * call.num_kv) return;
  float* x = call.qkv + (int64_t{row} * (call.num_q + 2 * call.num_kv) + head) * d;
  const bool is_query = head < call.num_q, is_value = head >= call.num_q + call.num_kv;
  if (!is_value) {
    if (call.q_norm != nullptr) {
      normalise(x, is_query ? call.q_norm : call.k_norm, d, call.norm_eps);
    }
    const int half = call.rotary / 2;
    if (half > 0) {
      const float* angles = call.cos_sin + int64_t{call.positions[row]} * call.rotary;
      const bool split = call.style == RopeStyle::kHalf;
      for (int p = lane; p < half; p += 32) {
        float& a = x[split ? p : 2 * p];
        float& b = x[split ? p + half : 2 * p + 1];
        const float c = angles[p], s = angles[half + p], a0 = a, b0 = b;
        a = a0 * c - b0 * s;
        b = b0 * c + a0 * s;
      }
    }
    __syncwarp();
  }
  if (is_query) return;
  const int kv = is_value ? head - call.num_q - call.num_kv : head - call.num_q;
  const int slot = call.slots[row];
  const int64_t block = slot / call.block_size, place = slot % call.block_size;
  const int64_t vector = (block * call.num_kv + kv) * call.block_size + place;
  float* scales = is_value ? call.v_scales : call.k_scales;
  store_vector(static_cast<T*>(is_value ? call.v : call.k) + vector * d,
               scales == nullptr ? nullptr : scales + vector, x, d);
}

}  // namespace

void rope_store(const RopeCall& call, cudaStream_t stream) {
  const int heads = call.num_q + 2 * call.num_kv;
  const int first_head = call.rotary == 0 && call.q_norm == nullptr ? call.num_q : 0;
  if (call.n == 0 || heads == first_head) return;
  const auto kernel = call.cache_dtype == DType::kF32  ? rope_kernel<float>
                      : call.cache_dtype == DType::kI8 ? rope_kernel<int8_t>
                                                       : rope_kernel<__nv_bfloat16>;
  launch(kernel, dim3(call.n, (heads - first_head + kHeadsOfBlock - 1) / kHeadsOfBlock),
         dim3(32, kHeadsOfBlock), 0, stream, call, first_head);
}

}  // namespace octet::cuda
