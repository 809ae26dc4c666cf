// What the kernels for many rows share: from the integer sums that a thread holds to its outputs.
//
// A thread's sums come in chunks of sixteen, as mma_s8 and warp_group_mma_s8 leave them: element i
// of a chunk is of row `row + 8 * (i / 2 % 2)` and packed output `output + 8 * (i / 4) + i % 2`.
// Sums become values in place (their bits), so that nothing is held twice; the subtrees that wait
// for their other half, and low sums while the high digits are multiplied, lie in local memory:
// touched once a leaf, not at all by layers with one leaf.
#pragma once

#include "kernels/cuda/epilogue.cuh"

namespace octet::cuda {

inline constexpr int kChunk = 16;
inline constexpr int kMaxLeafSpans = static_cast<int>(kMaxInt8Columns / kSpan);

struct ChunkPlace {
  int row = 0, output = 0;  // of element 0; may lie outside of the result
};

template <int kCount>
__device__ __forceinline__ void clear(int32_t (&sums)[kCount]) {
#pragma unroll
  for (int i = 0; i < kCount; ++i) sums[i] = 0;
}

// Local memory of a thread: its low sums, and the subtrees that wait. Places are addressed at run
// time, or the compiler would hold them in registers.
template <int kCount>
class TileMemory {
 public:
  __device__ __forceinline__ void keep_low(const int32_t (&sums)[kCount]) {
    keep(opaque(kLevels), sums);
  }
  __device__ __forceinline__ const int32_t* low() const { return places_[opaque(kLevels)]; }

  // Adds leaf values in the tree's order (see LeafFold). `values`: those of leaf `index` of `count`
  // of a root; afterwards the root's, where it was the last.
  __device__ __forceinline__ void fold(int index, int count, int32_t (&values)[kCount]) {
    const bool last = index == count - 1;
    int level = 0;
    for (; last ? index >> level != 0 : (index >> level & 1) != 0; ++level) {
      if ((index >> level & 1) == 0) continue;
#pragma unroll
      for (int i = 0; i < kCount; ++i) {
        if (i % kChunk == 0) __syncwarp();  // or all loads would go first and take registers
        values[i] = __float_as_int(__int_as_float(places_[level][i]) + __int_as_float(values[i]));
      }
    }
    if (!last) keep(level, values);
  }

 private:
  static constexpr int kLevels = 4;  // of the leaves that are not the last
  static_assert(1 << kLevels >= kMaxShards);

  __device__ __forceinline__ void keep(int place, const int32_t (&values)[kCount]) {
#pragma unroll
    for (int i = 0; i < kCount; ++i) places_[place][i] = values[i];
  }

  int32_t places_[kLevels + 1][kCount];
};

// The sums of one leaf become its values. `with_high`: they are the high digits', and `memory` has
// the low ones; else no row of the tile has outliers. place(chunk) says where a chunk is.
template <int kCount, typename Place>
__device__ __forceinline__ void leaf_values(const LinearCall& call, int leaf, bool with_high,
                                            const TileMemory<kCount>& memory,
                                            int32_t (&sums)[kCount], const Place& place) {
  const int32_t* lows = memory.low();
#pragma unroll
  for (int chunk = 0; chunk < kCount / kChunk; ++chunk) {
    __syncwarp();  // as in fold()
    const ChunkPlace at = place(chunk);
    float row_scales[2];
    int outliers[2];
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int64_t row = int64_t{min(at.row + 8 * half, call.n - 1)} * call.num_leaves + leaf;
      row_scales[half] = call.row_scales[row];
      outliers[half] = with_high ? call.outliers[row] : 0;
    }
#pragma unroll
    for (int block = 0; block < kChunk / 4; ++block) {
      const int output = min(at.output + 8 * block, call.padded_rows - 2);
      const float2 scales = *reinterpret_cast<const float2*>(call.scales + output);
#pragma unroll
      for (int r = 0; r < 4; ++r) {
        const int i = chunk * kChunk + block * 4 + r;
        const int low = with_high ? lows[i] : sums[i];
        sums[i] = __float_as_int(leaf_value(low, sums[i], outliers[r / 2], row_scales[r / 2],
                                            r % 2 == 0 ? scales.x : scales.y));
      }
    }
  }
}

// Bias, activation, and the values that are not padding to where they belong. One chunk after the
// other passes through the first sixteen registers. Destroys `values`.
template <int kCount, typename Place>
__device__ __forceinline__ void store_root(const LinearCall& call, int root,
                                           int32_t (&values)[kCount], const Place& place) {
  const bool gated = call.activation == Activation::kSiluGate;
  const bool pairs = !gated && call.out_features % 2 == 0;
#pragma unroll 1
  for (int chunk = 0; chunk < kCount / kChunk; ++chunk) {
    const ChunkPlace at = place(chunk);
#pragma unroll
    for (int i = 0; i < kChunk; i += 2) {
      const int row = at.row + 8 * (i / 2 % 2), output = at.output + 8 * (i / 4);
      if (row >= call.n || output >= call.rows) continue;
      float first = __int_as_float(values[i]), second = __int_as_float(values[i + 1]);
      first = call.bias == nullptr ? first + 0.0f : first + call.bias[output];
      second = call.bias == nullptr ? second + 0.0f : second + call.bias[output + 1];
      float* to = result_place(call, row, output, root);
      if (gated) {
        *to = activate(Activation::kSiluGate, first, second);
        continue;
      }
      first = activate(call.activation, first, 0.0f);
      second = activate(call.activation, second, 0.0f);
      if (pairs) {
        *reinterpret_cast<float2*>(to) = make_float2(first, second);
      } else {
        to[0] = first;
        if (output + 1 < call.rows) to[1] = second;
      }
    }
#pragma unroll
    for (int i = 0; i + kChunk < kCount; ++i) values[i] = values[i + kChunk];
  }
}

// Bit l of the result, the same in all lanes: has one of the rows [first, first + count) that are
// there an outlier in span `span` + l? Spans from `end` on have none. A whole warp calls it.
__device__ __forceinline__ uint32_t spans_with_outliers(const LinearCall& call, int first,
                                                        int count, int span, int end) {
  const auto stride = static_cast<int>(span_stride(call.padded_in));
  const int mine = span + static_cast<int>(threadIdx.x) % 32;
  int any = 0;
  if (mine < end) {
    const uint8_t* flags = call.spans + int64_t{first} * stride + mine;
    const int behind = min(count, call.n - first) * stride;
#pragma unroll 16
    for (int at = 0; at < behind; at += stride) any |= flags[at];
  }
  return __ballot_sync(0xffffffffu, any != 0);
}

}  // namespace octet::cuda
