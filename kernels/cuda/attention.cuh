// The one order of attention over a kBF16 or kI8 cache, for decode and prefill alike.
//
// - A row's keys go in chunks of 64 positions, two chunks a split of kAttentionSplit, both counted
//   from position 0. Each split starts afresh (m = -inf, l = 0, O = 0).
// - kBF16: q * scale * log2(e) is two bf16 digits, high and low. S = 0; for each 16 dimensions
//   ascending S += high K, then S += low K (mma_bf16; which operand K is changes nothing). ALiBi:
//   fmaf(slope * log2(e), key - query, S). A masked key has S = -inf.
// - Chunk: m' = max(m, S); a = rescale(m, m'); O *= a, l *= a; P = weight(S, m') in two digits; for
//   each 16 keys ascending O += high V, then O += low V. l is a column of O whose V is all ones.
// - Split end: merge() into the total, left to right. The result is O / l + 0.
// Keys at or beyond the context's end are read as zeros, dimensions are padded with zeros to a
// multiple of 16. A chunk or split masked for a row changes nothing of it and may be left out.
//
// kI8: q * scale * log2(e) is its row's scale times two int8 digits, 254 high + low, so that q K is
// an exact integer; S = q K * q's scale * the key's scale. V is the stored integers, exact in bf16,
// and O, but not l, takes P times the value's scale, in two digits.
#pragma once

#include "kernels/cuda/attention_call.h"
#include "kernels/cuda/device.cuh"

namespace octet::cuda {

inline constexpr int kAttentionChunk = 64;
inline constexpr float kLog2E = 1.44269504f;

__device__ inline uint32_t pack_bf16(__nv_bfloat16 first, __nv_bfloat16 second) {
  return __bfloat16_as_ushort(first) | static_cast<uint32_t>(__bfloat16_as_ushort(second)) << 16;
}

// Two neighbouring elements as pairs of high and of low digits.
__device__ inline void split_digits(float first, float second, uint32_t& high, uint32_t& low) {
  const __nv_bfloat162 a = __floats2bfloat162_rn(first, second);
  const __nv_bfloat162 b =
      __floats2bfloat162_rn(first - __bfloat162float(a.x), second - __bfloat162float(a.y));
  high = pack_bf16(a.x, a.y);
  low = pack_bf16(b.x, b.y);
}

// Byte of the 16-byte chunk `chunk` of a row of a tile in shared memory.
template <int kRowBytes>
__device__ inline int swizzled(int row, int chunk) {
  return row * kRowBytes + (chunk ^ (kRowBytes < 128 ? row / 2 % 4 : row % 8)) * 16;
}

// Two bf16 digits of query(row, dimension). All of the block.
template <int kRows, int kDims, int kThreads, typename F>
__device__ inline void split_query(const F& query, std::byte* high, std::byte* low) {
#pragma unroll 4
  for (int i = threadIdx.x; i < kRows * kDims / 2; i += kThreads) {
    const int row = i / (kDims / 2), dim = i % (kDims / 2) * 2;
    const int place = swizzled<2 * kDims>(row, dim / 8) + dim % 8 * 2;
    split_digits(query(row, dim), query(row, dim + 1), *reinterpret_cast<uint32_t*>(high + place),
                 *reinterpret_cast<uint32_t*>(low + place));
  }
}

// Two int8 digits of a row of query(dimension), 254 high + low times the scale that is returned;
// not finite if a part of it is not. All of a warp.
template <int kDims, typename F>
__device__ inline float quantize_query(const F& query, int row, std::byte* high, std::byte* low) {
  constexpr float kLargest = 127 * 254 + 126, kLeastQuery = 1e-30f;
  constexpr int kFours = (kDims + 127) / 128;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  float x[kFours][4];
  int top = 0;  // bits, so that NaN is above all
#pragma unroll
  for (int i = 0; i < kFours; ++i) {
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const int dim = 128 * i + 4 * lane + j;
      x[i][j] = dim < kDims ? query(dim) : 0.0f;
      top = max(top, __float_as_int(fabsf(x[i][j])));
    }
  }
#pragma unroll
  for (int offset = 16; offset > 0; offset /= 2) {
    top = max(top, __shfl_xor_sync(0xffffffffu, top, offset));
  }
  const float absmax = __int_as_float(top);
  const bool finite = absmax < INFINITY;
  const float inverse = finite && absmax >= kLeastQuery ? kLargest / absmax : 0.0f;
#pragma unroll
  for (int i = 0; i < kFours; ++i) {
    const int dim = 128 * i + 4 * lane;
    if (dim >= kDims) continue;
    uint32_t digits[2] = {};
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const int whole = finite ? __float2int_rn(x[i][j] * inverse) : 0;
      const int upper = __float2int_rn(static_cast<float>(whole) * (1.0f / 254));
      digits[0] |= (static_cast<uint32_t>(upper) & 0xffu) << 8 * j;
      digits[1] |= (static_cast<uint32_t>(whole - 254 * upper) & 0xffu) << 8 * j;
    }
    const int place = swizzled<kDims>(row, dim / 16) + dim % 16;
    *reinterpret_cast<uint32_t*>(high + place) = digits[0];
    *reinterpret_cast<uint32_t*>(low + place) = digits[1];
  }
  return finite ? absmax / kLargest : NAN;
}

// What sums under the maximum `old_maximum` are multiplied by when it becomes `maximum`.
__device__ inline float rescale(float old_maximum, float maximum) {
  return old_maximum == -INFINITY ? 0.0f : exp2_approx(old_maximum - maximum);
}

__device__ inline float softmax_weight(float score, float maximum) {
  return maximum == -INFINITY ? 0.0f : exp2_approx(score - maximum);
}

// The dimension of column `column` of the values that are multiplied: of int8, of each 16 the even
// ones before the odd.
template <typename T>
__device__ inline int dimension_of(int column) {
  if (sizeof(T) != 1) return column;
  return column / 16 * 16 + column % 8 * 2 + column / 8 % 2;
}

// total = total * a + part * b, with a = rescale(total's maximum, joint), b = rescale(part's,
// joint).
__device__ inline float merge(float total, float a, float part, float b) {
  return fmaf(total, a, part * b);
}

// Chunks of keys and values in shared memory, in swizzled rows. What comes from a cache of T, and
// the bf16 tile that prefill mixes: the same memory for bf16.
template <int kDims, typename T>
struct ChunkLayout {
  static constexpr bool kInt8 = sizeof(T) == 1;
  static constexpr int kPieceElements = 16 / sizeof(T);  // of one copy
  static constexpr int kPieces = kDims / kPieceElements;
  static constexpr int kCacheRowBytes = kDims * sizeof(T);
  static constexpr int kHalfBytes = kAttentionChunk * kCacheRowBytes;  // keys, or values
  static constexpr int kRowBytes = 2 * kDims;
  static constexpr int kTileBytes = kAttentionChunk * kRowBytes;
};

// Bytes 0 and 2 of `spread`, int8, as bf16. A bf16 of 128 or more holds seven bits behind its
// exponent: 128 + the low seven, minus 128, or minus 256 where the sign is set.
__device__ inline uint32_t widen_pair(uint32_t spread) {
  const auto pair = [](uint32_t bits) {
    return __halves2bfloat162(__ushort_as_bfloat16(static_cast<unsigned short>(bits)),
                              __ushort_as_bfloat16(static_cast<unsigned short>(bits >> 16)));
  };
  const __nv_bfloat162 wide = __hsub2(pair((spread & 0x007f007fu) | 0x43004300u),
                                      pair((spread & 0x00800080u) | 0x43004300u));
  return pack_bf16(wide.x, wide.y);
}

// The pieces that this thread has copied, of values, as bf16 in a tile.
template <int kDims, int kThreads>
__device__ inline void widen_values(const std::byte* from, std::byte* tile) {
  using C = ChunkLayout<kDims, int8_t>;
  const int piece = threadIdx.x % C::kPieces;
#pragma unroll
  for (int i = 0; i < kAttentionChunk; i += kThreads / C::kPieces) {
    const int key = i + static_cast<int>(threadIdx.x) / C::kPieces;
    const uint4 raw =
        *reinterpret_cast<const uint4*>(from + swizzled<C::kCacheRowBytes>(key, piece));
    *reinterpret_cast<uint4*>(tile + swizzled<C::kRowBytes>(key, 2 * piece)) =
        make_uint4(widen_pair(raw.x), widen_pair(raw.y), widen_pair(raw.z), widen_pair(raw.w));
    *reinterpret_cast<uint4*>(tile + swizzled<C::kRowBytes>(key, 2 * piece + 1)) =
        make_uint4(widen_pair(raw.x >> 8), widen_pair(raw.y >> 8), widen_pair(raw.z >> 8),
                   widen_pair(raw.w >> 8));
  }
}

// A weight times its value's scale. A key that is masked has no say, whatever its scale; a row
// whose keys of a split are all NaN leaves the split out.
__device__ inline float scaled_weight(float weight, float scale) {
  return weight == 0 ? 0.0f : weight * scale;
}

inline bool attention_takes(const AttentionCall& call) {
  const int piece = call.cache_dtype == DType::kI8 ? 16 : 8;
  return call.cache_dtype != DType::kF32 && call.head_dim % piece == 0 && call.head_dim <= 256;
}

// O / l. Never -0: a chunk that is masked may or may not have made it +0.
__device__ inline float result(float values, float sum) { return values / sum + 0.0f; }

}  // namespace octet::cuda
