// The KernelTable for AVX2 with FMA (x86-64-v3, the least that Octet starts on).
#include <immintrin.h>

#include "kernels/cpu/kernel_table.h"

namespace octet::cpu {
namespace {

// A tile of float accumulators that fits the registers.
constexpr int kFloatRows = 2;
constexpr int kFloatBlocks = 2;

// In this order: each is written in terms of the ones before it.
// clang-format off
#include "kernels/cpu/vec16.h"
#include "kernels/cpu/rows.h"
#include "kernels/cpu/fetch_ahead.h"
#include "kernels/cpu/int8_tiles.h"
#include "kernels/cpu/float_tiles.h"
#include "kernels/cpu/sketch_rows.h"
#include "kernels/cpu/attention_tiles.h"
// clang-format on

// Bytes are widened to 16 bits first, so that no pair sum saturates (255 * 127 * 2 does not fit in
// 16 bits). A register holds four outputs, two half sums each; they meet at the end.
inline void widen_group(const uint8_t* weights, __m256i* w) {
  for (int j = 0; j < 4; ++j) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(weights + j * 16));
    w[j] = _mm256_cvtepu8_epi16(bytes);
  }
}

inline __m256i widen_four(const int8_t* x) {
  int32_t four;
  __builtin_memcpy(&four, x, sizeof four);
  return _mm256_broadcastq_epi64(_mm_cvtepi8_epi16(_mm_cvtsi32_si128(four)));
}

// hadd joins halves within 128-bit lanes: outputs 0 1 4 5 | 2 3 6 7 of the eight.
inline __m256i join_halves(__m256i a, __m256i b) {
  return _mm256_permute4x64_epi64(_mm256_hadd_epi32(a, b), 0xD8);
}
inline Ints16 join_halves(const __m256i* sums) {
  return {join_halves(sums[0], sums[1]), join_halves(sums[2], sums[3])};
}

// kFetches: does it fetch the tile's part of the weights ahead?
template <int kRows, bool kFetches>
inline void int8_block(const Int8Tile& tile, int row, int block) {
  __m256i sums[kRows][4];
  const int8_t* x[kRows];
  for (int r = 0; r < kRows; ++r) {
    x[r] = tile.x[(row + r) * tile.x_stride].low;
    for (int j = 0; j < 4; ++j) sums[r][j] = _mm256_setzero_si256();
  }
  const uint8_t* weights = tile.weights[block] + tile.begin;
  FetchAhead ahead(tile.fetch, tile.groups, kBlock * kGroup);
  for (int64_t g = 0; g < tile.groups; ++g) {
    if constexpr (kFetches) {
      ahead.fetch(weights);
      ahead.next_step();
    }
    __m256i w[4];
    widen_group(weights + g * kBlock * kGroup, w);
    for (int r = 0; r < kRows; ++r) {
      const __m256i wide = widen_four(x[r] + g * kGroup);
      for (int j = 0; j < 4; ++j) {
        sums[r][j] = _mm256_add_epi32(sums[r][j], _mm256_madd_epi16(w[j], wide));
      }
    }
  }
  for (int r = 0; r < kRows; ++r) store_leaf(tile, row + r, block, join_halves(sums[r]));
}

void int8_low(const Int8Tile& tile) {
  for (int block = 0; block < tile.blocks; ++block) {
    if (tile.rows == 1) {
      int8_block<1, true>(tile, 0, block);
      continue;
    }
    int8_block<2, true>(tile, 0, block);
    int row = 2;
    for (; row + 2 <= tile.rows; row += 2) int8_block<2, false>(tile, row, block);
    if (row < tile.rows) int8_block<1, false>(tile, row, block);
  }
}

void int8_high(const Int8Tile& tile) {
  for (int r = 0; r < tile.rows; ++r) {
    const QuantizedRow& row = tile.x[r * tile.x_stride];
    if (row.num_groups == 0) continue;
    for (int block = 0; block < tile.blocks; ++block) {
      const uint8_t* weights = tile.weights[block] + tile.begin;
      __m256i sums[4] = {};
      for (int i = 0; i < row.num_groups; ++i) {
        __m256i w[4];
        widen_group(weights + row.groups[i] * kBlock * kGroup, w);
        const __m256i wide = widen_four(row.high + i * kGroup);
        for (int j = 0; j < 4; ++j) {
          sums[j] = _mm256_add_epi32(sums[j], _mm256_madd_epi16(w[j], wide));
        }
      }
      add_high(tile, r, block, join_halves(sums));
    }
  }
}

bool supported() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }

constexpr KernelTable kTable{.name = "avx2",
                             .supported = supported,
                             .quantize = quantize,
                             .int8_rows = 6,
                             .int8_row_step = 2,
                             .band_rows = 48,
                             .rows_stay = false,
                             .int8_low = int8_low,
                             .int8_high = int8_high,
                             .float_tile = float_tile,
                             .norm_row = norm_row,
                             .attention_tile = attention_tile,
                             .attention_split = attention_split,
                             .attention_join = attention_join,
                             .silu_gate = silu_gate,
                             .gelu = gelu,
                             .gelu_tanh = gelu_tanh,
                             .sketch_block = sketch_block,
                             .sketch_floor = sketch_floor,
                             .sketch_next = sketch_next};

}  // namespace

const KernelTable& avx2_kernels() { return kTable; }

}  // namespace octet::cpu
