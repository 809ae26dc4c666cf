// attention_plain: one warp a row and query head, splits one after the other.
#include "kernels/cuda/attention_call.h"
#include "kernels/cuda/numbers.cuh"
#include "kernels/cuda/sequences.cuh"

namespace octet::cuda {
namespace {

__device__ float warp_sum(float value) {
  for (int offset = 16; offset > 0; offset /= 2) {
    value += __shfl_xor_sync(0xffffffffu, value, offset);
  }
  return value;
}

__device__ float warp_max(float value) {
  for (int offset = 16; offset > 0; offset /= 2) {
    value = fmaxf(value, __shfl_xor_sync(0xffffffffu, value, offset));
  }
  return value;
}

// Shared memory: scores [kAttentionSplit], q [d], the split's values [d], all values [d].
template <typename T>
__global__ void plain_kernel(AttentionCall call) {
  let_successor_start();
  wait_for_predecessor();
  const int row = blockIdx.x, head = blockIdx.y, lane = threadIdx.x, d = call.head_dim;
  float* scores = reinterpret_cast<float*>(dynamic_shared());
  float* q = scores + kAttentionSplit;
  float* part = q + d;
  float* total = part + d;
  const int s = sequence_of(call, row);
  const int position = call.context_lens[s] - (call.cu_seqlens[s + 1] - row);
  const int first = call.sliding_window > 0 ? max(0, position - call.sliding_window + 1) : 0;
  const int kv = (call.q_begin + head) / call.group - call.kv_begin;
  const int32_t* table = call.block_tables + int64_t{s} * call.max_blocks;
  const T* keys = static_cast<const T*>(call.k);
  const T* values = static_cast<const T*>(call.v);
  const auto vector = [&](int p) {
    return (table[p / call.block_size] * int64_t{call.num_kv} + kv) * call.block_size +
           p % call.block_size;
  };
  const auto scale_of = [&](const float* scales, int p) {
    return scales == nullptr ? 1.0f : scales[vector(p)];
  };
  for (int k = lane; k < d; k += 32) {
    q[k] = call.qkv[int64_t{row} * call.width() + head * d + k];
    total[k] = 0;
  }
  __syncwarp();
  const float slope = call.alibi_slopes == nullptr ? 0.0f : call.alibi_slopes[head];
  float maximum = -INFINITY, sum = 0;
  for (int split = 0; split <= position; split += kAttentionSplit) {
    const int from = max(split, first), to = min(split + kAttentionSplit, position + 1);
    if (from >= to) continue;
    float part_maximum = -INFINITY, part_sum = 0;
    for (int p = from + lane; p < to; p += 32) {
      const T* key = keys + vector(p) * d;
      float dot = 0;
      for (int k = 0; k < d; ++k) dot = fmaf(q[k], to_float(key[k]), dot);
      dot *= scale_of(call.k_scales, p);
      const float score = fmaf(slope, static_cast<float>(p - position), dot * call.scale);
      scores[p - from] = score;
      part_maximum = fmaxf(part_maximum, score);
    }
    part_maximum = warp_max(part_maximum);
    for (int p = from + lane; p < to; p += 32) {
      const float weight = expf(scores[p - from] - part_maximum);
      scores[p - from] = weight;
      part_sum += weight;
    }
    part_sum = warp_sum(part_sum);
    __syncwarp();
    for (int k = lane; k < d; k += 32) {
      float value = 0;
      for (int p = from; p < to; ++p) {
        const float stored = to_float(values[vector(p) * d + k]) * scale_of(call.v_scales, p);
        value = fmaf(scores[p - from], stored, value);
      }
      part[k] = value;
    }
    const float joint = fmaxf(maximum, part_maximum);
    const float a = sum == 0 ? 0.0f : expf(maximum - joint), b = expf(part_maximum - joint);
    for (int k = lane; k < d; k += 32) total[k] = fmaf(total[k], a, part[k] * b);
    sum = fmaf(sum, a, part_sum * b);
    maximum = joint;
    __syncwarp();
  }
  float* out = call.out + (int64_t{row} * call.num_q + head) * d;
  for (int k = lane; k < d; k += 32) out[k] = total[k] / sum;
}

}  // namespace

void attention_plain(const AttentionCall& call, cudaStream_t stream) {
  if (call.n == 0 || call.num_q == 0) return;
  const auto kernel = call.cache_dtype == DType::kF32  ? plain_kernel<float>
                      : call.cache_dtype == DType::kI8 ? plain_kernel<int8_t>
                                                       : plain_kernel<__nv_bfloat16>;
  launch(kernel, dim3(call.n, call.num_q), dim3(32),
         (kAttentionSplit + 3 * call.head_dim) * sizeof(float), stream, call);
}

}  // namespace octet::cuda
