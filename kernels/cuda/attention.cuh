// The one order of attention over a kBF16 cache, for decode and prefill alike.
//
// - A row's keys go in chunks of 64 positions, four chunks a split of kAttentionSplit, both counted
//   from position 0. Each split starts afresh (m = -inf, l = 0, O = 0).
// - q * scale * log2(e) is two bf16 digits, high and low. S = 0; for each 16 dimensions ascending
//   S += high K, then S += low K (mma_bf16). ALiBi: fmaf(slope * log2(e), key - query, S). A masked
//   key has S = -inf.
// - Chunk: m' = max(m, S); a = rescale(m, m'); O *= a, l *= a; P = weight(S, m') in two digits; for
//   each 16 keys ascending O += high V, then O += low V. l is a column of O whose V is all ones.
// - Split end: merge() into the total, left to right. The result is O / l + 0.
// Keys at or beyond the context's end are read as zeros, dimensions are padded with zeros to a
// multiple of 16. A chunk or split masked for a row changes nothing of it and may be left out.
#pragma once

#include "kernels/cuda/device.cuh"

namespace octet::cuda {

inline constexpr int kAttentionChunk = 64;
inline constexpr float kLog2E = 1.44269504f;

__device__ inline uint32_t pack_bf16(__nv_bfloat16 first, __nv_bfloat16 second) {
  return __bfloat16_as_ushort(first) | static_cast<uint32_t>(__bfloat16_as_ushort(second)) << 16;
}

// Two neighbouring elements as pairs of high and of low digits.
__device__ inline void split_digits(float first, float second, uint32_t& high, uint32_t& low) {
  const __nv_bfloat16 a = __float2bfloat16_rn(first), b = __float2bfloat16_rn(second);
  high = pack_bf16(a, b);
  low = pack_bf16(__float2bfloat16_rn(first - __bfloat162float(a)),
                  __float2bfloat16_rn(second - __bfloat162float(b)));
}

// What sums under the maximum `old_maximum` are multiplied by when it becomes `maximum`.
__device__ inline float rescale(float old_maximum, float maximum) {
  return old_maximum == -INFINITY ? 0.0f : exp2_approx(old_maximum - maximum);
}

__device__ inline float softmax_weight(float score, float maximum) {
  return maximum == -INFINITY ? 0.0f : exp2_approx(score - maximum);
}

// Byte of the 16-byte chunk `chunk` of a row of a tile in shared memory.
template <int kRowBytes>
__device__ inline int swizzled(int row, int chunk) {
  return row * kRowBytes + (chunk ^ row % 8) * 16;
}

// total = total * a + part * b, with a = rescale(total's maximum, joint), b = rescale(part's,
// joint).
__device__ inline float merge(float total, float a, float part, float b) {
  return fmaf(total, a, part * b);
}

// O / l. Never -0: a chunk that is masked may or may not have made it +0.
__device__ inline float result(float values, float sum) { return values / sum + 0.0f; }

}  // namespace octet::cuda
