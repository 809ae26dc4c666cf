// The KernelTable for AVX2 with FMA (x86-64-v3, the least that Octet starts on).
#include <immintrin.h>

#include "kernels/cpu/kernel_table.h"

namespace octet::cpu {
namespace {

// Tiles of float accumulators that fit the registers and, but for three rows, keep the adders busy.
constexpr int kFloatRows = 6;
template <int kRows>
constexpr int kFloatBlocks = kRows > 2 ? 1 : 4 / kRows;

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

// Low digits: bytes are widened to 16 bits first, so that no pair sum saturates (255 * 127 * 2 does
// not fit in 16 bits). A register holds four outputs, two half sums each; they meet at the end.
constexpr int kVectors = 4;                   // registers of a block
constexpr int kGroupBytes = kBlock * kGroup;  // of its weights
// Groups of columns that are multiplied at a time: their inputs, and the weights where these are
// gone through more than once, stay in L1.
template <int kRows>
constexpr int kChunk = 768 / kRows / 4 * 4;
template <int kRows>
using WideRow = int64_t[kChunk<kRows>];  // a row's, widened: kGroup values each

inline __m256i widen_weights(const uint8_t* group, int v) {
  return _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(group + v * 16)));
}

// Not the intrinsics: gcc 12 copies its accumulators around them.
inline void multiply_add(__m256i& sums, __m256i w, __m256i x) {
  __m256i products;
  asm("vpmaddwd %3, %2, %1\n\tvpaddd %1, %0, %0" : "+x"(sums), "=&x"(products) : "x"(w), "x"(x));
}

// hadd joins halves within 128-bit lanes: outputs 0 1 4 5 | 2 3 6 7 of the eight.
inline __m256i join_halves(__m256i a, __m256i b) {
  return _mm256_permute4x64_epi64(_mm256_hadd_epi32(a, b), 0xD8);
}
inline Ints16 join_halves(const __m256i* sums) {
  return {join_halves(sums[0], sums[1]), join_halves(sums[2], sums[3])};
}

// Reads and writes groups up to a multiple of four.
inline void widen_row(const int8_t* x, int64_t groups, int64_t* wide) {
  for (int64_t g = 0; g < groups; g += 4) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(x + g * kGroup));
    _mm256_store_si256(reinterpret_cast<__m256i*>(wide + g), _mm256_cvtepi8_epi16(bytes));
  }
}

// The products of kRows rows with kBlocks blocks, kAtOnce registers of each from `first` on; the
// sums go on from what they are, or start. With one block what lies behind `next` is fetched; two
// are streams that hardware follows better alone. gcc keeps an array of accumulators in registers
// only where the loops over it are unrolled early.
template <int kRows, int kBlocks, int kAtOnce>
inline void add_products(const uint8_t* const* weights, int64_t groups, const WideRow<kRows>* x,
                         int first, const uint8_t* next, FetchAhead ahead, bool goes_on,
                         __m256i (*sums)[kRows][kVectors]) {
  __m256i acc[kBlocks][kRows][kAtOnce];
#pragma GCC unroll 8
  for (int b = 0; b < kBlocks; ++b) {
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
      for (int v = 0; v < kAtOnce; ++v) {
        acc[b][r][v] = goes_on ? sums[b][r][first + v] : _mm256_setzero_si256();
      }
    }
  }
  for (int64_t g = 0; g < groups; ++g) {
    if constexpr (kBlocks == 1) {
      ahead.fetch(next);
      ahead.next_step();
    }
#pragma GCC unroll 8
    for (int b = 0; b < kBlocks; ++b) {
      __m256i w[kAtOnce];
#pragma GCC unroll 8
      for (int v = 0; v < kAtOnce; ++v)
        w[v] = widen_weights(weights[b] + g * kGroupBytes, first + v);
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) {
        const __m256i four = _mm256_set1_epi64x(x[r][g]);
#pragma GCC unroll 8
        for (int v = 0; v < kAtOnce; ++v) multiply_add(acc[b][r][v], w[v], four);
      }
    }
  }
#pragma GCC unroll 8
  for (int b = 0; b < kBlocks; ++b) {
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
      for (int v = 0; v < kAtOnce; ++v) sums[b][r][first + v] = acc[b][r][v];
    }
  }
}

// Not the intrinsics: see multiply_add(). Pairs of products are added in 16 bits, which is exact
// for x within -64 to 64: 255 * 64 * 2 fits.
inline void multiply_add_small(__m256i& sums, __m256i w, __m256i x, __m256i ones) {
  __m256i pairs;
  asm("vpmaddubsw %3, %2, %1\n\tvpmaddwd %4, %1, %1\n\tvpaddd %1, %0, %0"
      : "+x"(sums), "=&x"(pairs)
      : "x"(w), "x"(x), "x"(ones));
}

// Adds the products of a row's high digits: of what they have within -64 to 64, or of the rest.
// Returns whether there is a rest. A register holds the sums of eight outputs.
template <int kBlocks, bool kRest>
inline bool add_high(const Int8Tile& tile, const QuantizedRow& row, __m256i (*sums)[2]) {
  const __m256i ones = _mm256_set1_epi16(1);
  const __m256i most = _mm256_set1_epi8(64), least = _mm256_set1_epi8(-64);
  __m256i acc[kBlocks][2], rests = _mm256_setzero_si256();
#pragma GCC unroll 8
  for (int b = 0; b < kBlocks; ++b) {
#pragma GCC unroll 8
    for (int v = 0; v < 2; ++v) acc[b][v] = kRest ? sums[b][v] : _mm256_setzero_si256();
  }
  for (int i = 0; i < row.num_groups; ++i) {
    int32_t four;
    __builtin_memcpy(&four, row.high + i * kGroup, sizeof four);
    const __m256i all = _mm256_set1_epi32(four);
    const __m256i small = _mm256_max_epi8(_mm256_min_epi8(all, most), least);
    const __m256i rest = _mm256_sub_epi8(all, small);
    rests = _mm256_or_si256(rests, rest);
    const int64_t at = tile.begin + row.groups[i] * kGroupBytes;
#pragma GCC unroll 8
    for (int b = 0; b < kBlocks; ++b) {
#pragma GCC unroll 8
      for (int v = 0; v < 2; ++v) {
        const auto* w = reinterpret_cast<const __m256i*>(tile.weights[b] + at + v * 32);
        multiply_add_small(acc[b][v], _mm256_loadu_si256(w), kRest ? rest : small, ones);
      }
    }
  }
#pragma GCC unroll 8
  for (int b = 0; b < kBlocks; ++b) {
#pragma GCC unroll 8
    for (int v = 0; v < 2; ++v) sums[b][v] = acc[b][v];
  }
  return !_mm256_testz_si256(rests, rests);
}

template <int kBlocks>
inline void int8_high_of(const Int8Tile& tile, int r) {
  const QuantizedRow& row = tile.x[r * tile.x_stride];
  __m256i sums[kBlocks][2];
  if (add_high<kBlocks, false>(tile, row, sums)) add_high<kBlocks, true>(tile, row, sums);
#pragma GCC unroll 8
  for (int b = 0; b < kBlocks; ++b) store_high(tile, r, b, {sums[b][0], sums[b][1]});
}

// Once, not in each of int8_tile_of().
[[gnu::noinline]] void int8_high(const Int8Tile& tile, int r) {
  with_count<kMaxBlocks>(tile.blocks, [&]<int kBlocks>() { int8_high_of<kBlocks>(tile, r); });
}

// The high digits come last: their weights are in the cache then.
template <int kRows>
inline void int8_tile_of(const Int8Tile& tile) {
  constexpr int kPasses = kRows <= 2 ? 1 : 2, kAtOnce = kVectors / kPasses;
  __m256i sums[kMaxBlocks][kRows][kVectors];
  alignas(32) WideRow<kRows> x[kRows];
  if (tile.high != nullptr) {
    for (int r = 0; r < kRows; ++r) {
      __builtin_prefetch(tile.x[r * tile.x_stride].high);
      __builtin_prefetch(tile.x[r * tile.x_stride].groups);
    }
  }
  int64_t begin = 0;
  do {  // once at least: sums of no columns are zero
    const int64_t left = tile.groups - begin;
    const int64_t groups = left < kChunk<kRows> ? left : kChunk<kRows>;
    for (int r = 0; r < kRows; ++r) {
      widen_row(tile.x[r * tile.x_stride].low + begin * kGroup, groups, x[r]);
    }
    const uint8_t* weights[kMaxBlocks + 1];  // of the chunk; behind them, of the next one
    const int64_t at = tile.begin + begin * kGroupBytes;
    for (int b = 0; b < tile.blocks; ++b) weights[b] = tile.weights[b] + at;
    weights[tile.blocks] = weights[0] + groups * kGroupBytes;
    int block = 0;
    if constexpr (kRows == 1) {  // one row waits for memory, which gives more to two streams
      for (; block + 2 <= tile.blocks; block += 2) {
        add_products<kRows, 2, kAtOnce>(weights + block, groups, x, 0, nullptr,
                                        FetchAhead({}, 0, 0), begin > 0, sums + block);
      }
    }
    for (; block < tile.blocks; ++block) {
      for (int pass = 0; pass < kPasses; ++pass) {
        const bool soon = tile.fetch.same_column;  // what is multiplied next
        const int64_t step = (soon ? 0 : begin * kPasses) + pass * groups;
        const FetchAhead ahead(soon ? WeightFetch{} : tile.fetch, tile.groups * kPasses,
                               kGroupBytes / kPasses, step);
        const uint8_t* next = soon ? weights[block + 1] : weights[block] - begin * kGroupBytes;
        add_products<kRows, 1, kAtOnce>(weights + block, groups, x, pass * kAtOnce, next, ahead,
                                        begin > 0, sums + block);
      }
    }
    begin += kChunk<kRows>;
  } while (begin < tile.groups);
  for (int r = 0; r < kRows; ++r) {
    if (tile.x[r * tile.x_stride].num_groups > 0) int8_high(tile, r);
    for (int b = 0; b < tile.blocks; ++b) store_leaf(tile, r, b, join_halves(sums[b][r]));
  }
}

void int8_tile(const Int8Tile& tile) {
  with_count<6>(tile.rows, [&]<int kRows>() { int8_tile_of<kRows>(tile); });
}

bool supported() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }

constexpr KernelTable kTable{.name = "avx2",
                             .supported = supported,
                             .quantize = quantize,
                             .int8_rows = 6,
                             .int8_row_step = 1,
                             .band_rows = 48,
                             .rows_stay = false,
                             .int8_tile = int8_tile,
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
