// The KernelTables for AVX512 with VNNI, and for the same with AMX, which multiplies many int8 rows
// as tiles; compiled with AVX512's flags.
#include <immintrin.h>

#include "kernels/cpu/amx_tiles.h"
#include "kernels/cpu/avx512_instructions.h"
#include "kernels/cpu/kernel_table.h"

namespace octet::cpu {
namespace {

constexpr int kVnniRows = 6;
// Tiles of float accumulators that fit the registers.
constexpr int kFloatRows = 6;
template <int kRows>
constexpr int kFloatBlocks = 4;

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

// gcc keeps an array of accumulators in registers only where the loops over it are unrolled early.
template <int kRows, int kBlocks, bool kInCache>
inline void vnni_low(const Int8Tile& tile) {
  __m512i acc[kRows][kBlocks];
  const int8_t* x[kRows];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
    x[r] = tile.x[r * tile.x_stride].low;
#pragma GCC unroll 8
    for (int b = 0; b < kBlocks; ++b) acc[r][b] = _mm512_setzero_si512();
  }
  const uint8_t* weights[kBlocks];
#pragma GCC unroll 8
  for (int b = 0; b < kBlocks; ++b) weights[b] = tile.weights[b] + tile.begin;
  FetchAhead ahead(tile.fetch, tile.groups, kBlock * kGroup);
  for (int64_t g = 0; g < tile.groups; ++g) {
    __m512i w[kBlocks];
#pragma GCC unroll 8
    for (int b = 0; b < kBlocks; ++b) {
      const uint8_t* at = weights[b] + g * kBlock * kGroup;
      w[b] = _mm512_loadu_si512(at);
      if constexpr (kInCache) {
        _mm_prefetch(reinterpret_cast<const char*>(at + tile.fetch.ahead), _MM_HINT_T0);
      } else {
        ahead.fetch(weights[b]);
      }
    }
    ahead.next_step();
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      int32_t four;
      __builtin_memcpy(&four, x[r] + g * kGroup, sizeof four);
      const __m512i broadcast = _mm512_set1_epi32(four);
#pragma GCC unroll 8
      for (int b = 0; b < kBlocks; ++b) avx512::multiply_add(acc[r][b], w[b], broadcast);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
    for (int b = 0; b < kBlocks; ++b) {
      store_leaf(tile, r, b, {acc[r][b]});
    }
  }
}

template <int kRows, int kBlocks>
inline void vnni_low(const Int8Tile& tile) {
  tile.fetch.in_cache ? vnni_low<kRows, kBlocks, true>(tile)
                      : vnni_low<kRows, kBlocks, false>(tile);
}

template <int kRows>
inline void vnni_low(const Int8Tile& tile) {
  switch (tile.blocks) {
    case 1:
      return vnni_low<kRows, 1>(tile);
    case 2:
      return vnni_low<kRows, 2>(tile);
    case 3:
      return vnni_low<kRows, 3>(tile);
    default:
      return vnni_low<kRows, 4>(tile);
  }
}

void vnni_low(const Int8Tile& tile) {
  switch (tile.rows) {
    case 1:
      return vnni_low<1>(tile);
    case 2:
      return vnni_low<2>(tile);
    case 3:
      return vnni_low<3>(tile);
    case 4:
      return vnni_low<4>(tile);
    case 5:
      return vnni_low<5>(tile);
    default:
      return vnni_low<6>(tile);
  }
}

template <int kBlocks>
inline void int8_high(const Int8Tile& tile) {
  const uint8_t* weights[kBlocks];
#pragma GCC unroll 8
  for (int b = 0; b < kBlocks; ++b) weights[b] = tile.weights[b] + tile.begin;
  for (int r = 0; r < tile.rows; ++r) {
    const QuantizedRow& row = tile.x[r * tile.x_stride];
    if (row.high.count == 0) continue;
    __m512i sums[kBlocks];
#pragma GCC unroll 8
    for (int b = 0; b < kBlocks; ++b) sums[b] = _mm512_setzero_si512();
    for (int i = 0; i < row.high.count; ++i) {
      int32_t four;
      __builtin_memcpy(&four, row.high.digits + i * kGroup, sizeof four);
      const __m512i broadcast = _mm512_set1_epi32(four);
      const int64_t at = row.high.groups[i] * kBlock * kGroup;
#pragma GCC unroll 8
      for (int b = 0; b < kBlocks; ++b) {
        avx512::multiply_add(sums[b], _mm512_loadu_si512(weights[b] + at), broadcast);
      }
    }
#pragma GCC unroll 8
    for (int b = 0; b < kBlocks; ++b) store_high(tile, r, b, {sums[b]});
  }
}

void int8_high(const Int8Tile& tile) {
  switch (tile.blocks) {
    case 1:
      return int8_high<1>(tile);
    case 2:
      return int8_high<2>(tile);
    case 3:
      return int8_high<3>(tile);
    default:
      return int8_high<4>(tile);
  }
}

#include "kernels/cpu/int8_amx.h"

void vnni_tile(const Int8Tile& tile) {
  if (tile.high != nullptr) int8_high(tile);
  vnni_low(tile);
}

void amx_tile(const Int8Tile& tile) {
  if (tile.high != nullptr) int8_high(tile);
  amx_low(tile);
}

bool vnni_supported() { return avx512::available(); }
bool amx_supported() { return vnni_supported() && amx::available(); }

constexpr KernelTable kVnni{.name = "avx512-vnni",
                            .supported = vnni_supported,
                            .quantize = quantize,
                            .take_rest = nullptr,
                            .int8_rows = kVnniRows,
                            .int8_row_step = 1,
                            .band_rows = 48,
                            .rows_that_stay = 0,
                            .int8_tile = vnni_tile,
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

constexpr KernelTable with_amx(KernelTable table) {
  table.name = "amx-int8";
  table.supported = amx_supported;
  table.int8_rows = kAmxRows;
  table.int8_row_step = amx::kTileRows;
  table.band_rows = 256;
  table.rows_that_stay = 1280 << 10;
  table.int8_tile = amx_tile;
  return table;
}
constexpr KernelTable kAmx = with_amx(kVnni);

}  // namespace

const KernelTable& avx512_vnni_kernels() { return kVnni; }
const KernelTable& amx_kernels() { return kAmx; }

}  // namespace octet::cpu
