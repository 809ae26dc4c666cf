// The KernelTable for AVX512 with VNNI; compiled with that set's flags.
#include <immintrin.h>

#include "kernels/cpu/kernel_table.h"

namespace octet::cpu {
namespace {

// A tile of float accumulators that fits the registers.
constexpr int kFloatRows = 6;
constexpr int kFloatBlocks = 4;

// In this order: each is written in terms of the ones before it.
// clang-format off
#include "kernels/cpu/vec16.h"
#include "kernels/cpu/rows.h"
#include "kernels/cpu/float_tiles.h"
#include "kernels/cpu/attention_tiles.h"
// clang-format on

// gcc keeps an array of accumulators in registers only where the loops over it are unrolled early.
template <int kRows, int kBlocks>
inline void int8_sums_of(const Int8Tile& tile, int32_t* sums) {
  __m512i acc[kRows][kBlocks];
  const int8_t* x[kRows];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
    x[r] = tile.x[r * tile.x_stride].low;
#pragma GCC unroll 8
    for (int b = 0; b < kBlocks; ++b) acc[r][b] = _mm512_setzero_si512();
  }
  const uint8_t* weights = tile.weights;
  for (int64_t g = 0; g < tile.groups; ++g) {
    __m512i w[kBlocks];
#pragma GCC unroll 8
    for (int b = 0; b < kBlocks; ++b) {
      w[b] = _mm512_loadu_si512(weights + b * tile.block_stride);
      if constexpr (kRows == 1) {
        _mm_prefetch(reinterpret_cast<const char*>(weights + b * tile.block_stride + 1024),
                     _MM_HINT_T0);
      }
    }
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      int32_t four;
      __builtin_memcpy(&four, x[r] + g * kGroup, sizeof four);
      const __m512i broadcast = _mm512_set1_epi32(four);
#pragma GCC unroll 8
      for (int b = 0; b < kBlocks; ++b) {
        acc[r][b] = _mm512_dpbusd_epi32(acc[r][b], w[b], broadcast);
      }
    }
    weights += kBlock * kGroup;
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
    for (int b = 0; b < kBlocks; ++b) {
      _mm512_storeu_si512(sums + (r * kMaxBlocks + b) * kBlock, acc[r][b]);
    }
  }
}

template <int kRows>
inline void int8_sums_of(const Int8Tile& tile, int32_t* sums) {
  switch (tile.blocks) {
    case 1:
      return int8_sums_of<kRows, 1>(tile, sums);
    case 2:
      return int8_sums_of<kRows, 2>(tile, sums);
    case 3:
      return int8_sums_of<kRows, 3>(tile, sums);
    default:
      return int8_sums_of<kRows, 4>(tile, sums);
  }
}

void int8_sums(const Int8Tile& tile, int32_t* sums) {
  switch (tile.rows) {
    case 1:
      return int8_sums_of<1>(tile, sums);
    case 2:
      return int8_sums_of<2>(tile, sums);
    case 3:
      return int8_sums_of<3>(tile, sums);
    case 4:
      return int8_sums_of<4>(tile, sums);
    case 5:
      return int8_sums_of<5>(tile, sums);
    default:
      return int8_sums_of<6>(tile, sums);
  }
}

void int8_high_sums(const Int8Tile& tile, const QuantizedRow& row, int32_t* sums) {
  for (int b = 0; b < tile.blocks; ++b) {
    const uint8_t* weights = tile.weights + b * tile.block_stride;
    __m512i sum = _mm512_setzero_si512();
    for (int i = 0; i < row.num_groups; ++i) {
      int32_t four;
      __builtin_memcpy(&four, row.high + i * kGroup, sizeof four);
      const __m512i w = _mm512_loadu_si512(weights + row.groups[i] * kBlock * kGroup);
      sum = _mm512_dpbusd_epi32(sum, w, _mm512_set1_epi32(four));
    }
    _mm512_storeu_si512(sums + b * kBlock, sum);
  }
}

#include "kernels/cpu/int8_tiles.h"

bool supported() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512vnni");
}

constexpr KernelTable kTable{"avx512-vnni", supported,      quantize,  int8_tile, float_tile,
                             norm_row,      attention_tile, silu_gate, gelu,      gelu_tanh};

}  // namespace

const KernelTable& avx512_vnni_kernels() { return kTable; }

}  // namespace octet::cpu
