// What the kernels for many rows share: from the integer sums that a thread holds to its outputs.
//
// A thread's sums come in chunks of sixteen, as mma_s8 and warp_group_mma_s8 leave them: element i
// of a chunk is of row `row + 8 * (i / 2 % 2)` and packed output `output + 8 * (i / 4) + i % 2`.
// Sums become values in place (their bits), so that nothing is held twice; the subtrees that wait
// for their other half, and in kManyRows low sums while the high digits are multiplied, lie in
// local memory: touched once a leaf, not at all by layers with one leaf.
#pragma once

#include "kernels/cuda/epilogue.cuh"

namespace octet::cuda {

inline constexpr int kChunk = 16;
inline constexpr int kMaxLeafSpans = static_cast<int>(kMaxInt8Columns / kSpan);

struct ChunkPlace {
  int row = 0, output = 0;  // of element 0; may lie outside of the result
};

// A thread's chunks: chunk c lies c times the steps behind the first.
template <int kRowStep, int kOutputStep>
struct Chunks {
  ChunkPlace first;
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

// What the columns of a chunk have in `of_outputs` [padded_rows]: pairs of blocks of eight. Chunks
// of 32 outputs lie in there as a whole or not at all.
__device__ __forceinline__ void load_columns(const LinearCall& call, const float* of_outputs,
                                             int output, float2 (&values)[kChunk / 4]) {
  static_assert(kRowAlign % 32 == 0);
  const auto* from =
      reinterpret_cast<const float2*>(of_outputs + min(output, call.padded_rows - 26));
#pragma unroll
  for (int block = 0; block < kChunk / 4; ++block) values[block] = from[4 * block];
}

// What a row has of a leaf.
struct RowLeaf {
  float scale;
  int outliers;
};

// Of a chunk's two rows.
__device__ __forceinline__ void load_rows(const LinearCall& call, int leaf, bool with_high, int row,
                                          RowLeaf (&of)[2]) {
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int64_t at = int64_t{min(row + 8 * half, call.n - 1)} * call.num_leaves + leaf;
    of[half] = {call.row_scales[at], with_high ? call.outliers[at] : 0};
  }
}

// Elements [kFirst, kEnd) of `sums` become the values of one leaf, of the sums low(i) and, where
// `with_high`, high(i); else no row of the tile has outliers. The next chunk's scales are on their
// way meanwhile.
template <int kFirst, int kEnd, int kCount, typename Low, typename High, int kRowStep,
          int kOutputStep>
__device__ __forceinline__ void leaf_values(const LinearCall& call, int leaf, bool with_high,
                                            const Low& low, const High& high,
                                            int32_t (&sums)[kCount],
                                            const Chunks<kRowStep, kOutputStep>& chunks) {
  constexpr int kFirstChunk = kFirst / kChunk, kChunks = kEnd / kChunk;
  float2 scales[2][kChunk / 4];
  const auto fetch = [&](int chunk) {
    load_columns(call, call.scales, chunks.first.output + chunk * kOutputStep, scales[chunk % 2]);
  };
  fetch(kFirstChunk);
  RowLeaf of[2];
#pragma unroll
  for (int chunk = kFirstChunk; chunk < kChunks; ++chunk) {
    __syncwarp();  // as in fold()
    if (chunk + 1 < kChunks) fetch(chunk + 1);
    if (chunk == kFirstChunk || kRowStep > 0) {
      load_rows(call, leaf, with_high, chunks.first.row + chunk * kRowStep, of);
    }
#pragma unroll
    for (int j = 0; j < kChunk; ++j) {
      const int i = chunk * kChunk + j;
      if (j == kChunk / 2) __syncwarp();  // likewise
      const float2 pair = scales[chunk % 2][j / 4];
      const RowLeaf& row = of[j / 2 % 2];
      sums[i] = __float_as_int(
          leaf_value(low(i), high(i), row.outliers, row.scale, j % 2 == 0 ? pair.x : pair.y));
    }
  }
}

template <Activation kActivation>
__device__ __forceinline__ void activate_chunk(float (&values)[kChunk]) {
  constexpr bool kGated = kActivation == Activation::kSiluGate;
#pragma unroll
  for (int i = 0; i < kChunk; i += kGated ? 2 : 1) {
    values[i] = activate(kActivation, values[i], values[kGated ? i + 1 : i]);
  }
}

// Of two neighbouring lanes the even one comes to hold both lanes' `first`, the odd one `second`.
__device__ __forceinline__ float2 exchange(bool even, float first, float second) {
  const float got = __shfl_xor_sync(0xffffffffu, even ? second : first, 1);
  return even ? make_float2(first, got) : make_float2(got, second);
}

// Bias, activation, and the values that are not padding to where they belong. One chunk after the
// other passes through the first sixteen registers, the next one's bias on its way meanwhile: in a
// loop, but where the chunks are many and there is no activation. Destroys `values`.
template <Activation kActivation, int kCount, int kRowStep, int kOutputStep>
__device__ __forceinline__ void store_values(const LinearCall& call, int root,
                                             int32_t (&values)[kCount],
                                             const Chunks<kRowStep, kOutputStep>& chunks) {
  constexpr int kOfColumn = kActivation == Activation::kSiluGate ? 2 : 1;  // outputs
  constexpr int kUnrolled =
      kActivation == Activation::kNone && kOutputStep > 0 ? kCount / kChunk : 1;
  const bool even = threadIdx.x % 2 == 0;
  const bool together = call.out_features % 4 == 0;  // neighbouring lanes store as one
  const ChunkPlace& first = chunks.first;
  const int shift = together && !even ? 6 : 0, column = (first.output + shift) / kOfColumn;
  // As an index: the compiler holds a pointer and more.
  const int64_t to = result_place(call, first.row, first.output + shift, root) - call.out;
  float2 bias[kChunk / 4]{};
  if (call.bias != nullptr) load_columns(call, call.bias, first.output, bias);
#pragma unroll kUnrolled
  for (int chunk = 0; chunk < kCount / kChunk; ++chunk) {
    float x[kChunk];
#pragma unroll
    for (int i = 0; i < kChunk; ++i) {
      x[i] = __int_as_float(values[i]) + (i % 2 == 0 ? bias[i / 4].x : bias[i / 4].y);
    }
    if (call.bias != nullptr) {
      load_columns(call, call.bias, first.output + (chunk + 1) * kOutputStep, bias);
    }
    activate_chunk<kActivation>(x);
#pragma unroll
    for (int pair = 0; pair < 4; ++pair) {  // blocks 0 and 1 or 2 and 3, of one of two rows
      const int i = pair / 2 * 8 + pair % 2 * 2;
      const int down = chunk * kRowStep + pair % 2 * 8;
      const int along = (chunk * kOutputStep + pair / 2 * 16) / kOfColumn;
      const bool there = first.row + down < call.n;
      float* place = call.out + (to + int64_t{down} * call.out_features + along);
      if (together) {
        const float2 one = exchange(even, x[i], x[i + 4]);
        const float2 two = exchange(even, x[i + 1], x[i + 5]);
        if (!there || column + along >= call.out_features) continue;
        if constexpr (kActivation == Activation::kSiluGate) {
          *reinterpret_cast<float2*>(place) = one;
        } else {
          *reinterpret_cast<float4*>(place) = make_float4(one.x, two.x, one.y, two.y);
        }
        continue;
      }
#pragma unroll
      for (int block = 0; block < 2; ++block) {
        const int further = 8 * block / kOfColumn, left = call.out_features - column - along;
        if (!there || further >= left) continue;
        place[further] = x[i + 4 * block];
        if (kOfColumn == 1 && further + 1 < left) place[further + 1] = x[i + 4 * block + 1];
      }
    }
#pragma unroll
    for (int i = 0; i + kChunk < kCount; ++i) values[i] = values[i + kChunk];
  }
}

template <int kCount, int kRowStep, int kOutputStep>
__device__ __forceinline__ void store_root(const LinearCall& call, int root,
                                           int32_t (&values)[kCount],
                                           const Chunks<kRowStep, kOutputStep>& chunks) {
  with_activation(call.activation,
                  [&](auto activation) { store_values<activation()>(call, root, values, chunks); });
}

// Bit i of four bytes that are 0 or 1: byte i.
__device__ __forceinline__ uint32_t four_bits(uint32_t bytes) { return bytes * 0x10204080u >> 28; }
__device__ __forceinline__ uint32_t sixteen_bits(const uint4& bytes) {
  return four_bits(bytes.x) | four_bits(bytes.y) << 4 | four_bits(bytes.z) << 8 |
         four_bits(bytes.w) << 12;
}

// Bit l of the result, the same in all lanes: has one of the rows [first, first + count) that are
// there an outlier in span 32 * word + l? A whole warp calls it.
__device__ __forceinline__ uint32_t spans_with_outliers(const LinearCall& call, int first,
                                                        int count, int word) {
  const int pieces = static_cast<int>(span_stride(call.padded_in) / 16);
  const auto* from =
      reinterpret_cast<const uint4*>(call.spans) + int64_t{first} * pieces + 2 * word;
  const int rows = min(count, call.n - first);
  const bool both = 2 * word + 1 < pieces;
  uint32_t mask = 0;
#pragma unroll 4
  for (int row = static_cast<int>(threadIdx.x) % 32; row < rows; row += 32) {
    mask |= sixteen_bits(from[row * pieces]);
    if (both) mask |= sixteen_bits(from[row * pieces + 1]) << 16;
  }
  return __reduce_or_sync(0xffffffffu, mask);
}

}  // namespace octet::cuda
