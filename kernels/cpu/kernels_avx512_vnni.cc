// The KernelTable for AVX512 with VNNI; compiled with that set's flags.
#include <immintrin.h>

#include "kernels/cpu/kernel_table.h"

namespace octet::cpu {
namespace {

constexpr int kFloatRows = 4;  // rows that share a load of float weights

// In this order: each is written in terms of the ones before it.
// clang-format off
#include "kernels/cpu/vec16.h"
#include "kernels/cpu/rows.h"
#include "kernels/cpu/float_tiles.h"
#include "kernels/cpu/attention_rows.h"
// clang-format on

template <int kRows, int kBlocks>
inline void int8_tile_of(const Int8Tile& tile) {
  __m512i sums[kRows][kBlocks];
  for (int r = 0; r < kRows; ++r) {
    for (int b = 0; b < kBlocks; ++b) sums[r][b] = _mm512_setzero_si512();
  }
  const uint8_t* weights = tile.weights;
  const int8_t* x = tile.x;
  for (int64_t g = 0; g < tile.groups; ++g) {
    __m512i w[kBlocks];
    for (int b = 0; b < kBlocks; ++b) {
      w[b] = _mm512_loadu_si512(weights + b * tile.block_stride);
      if constexpr (kRows == 1) {
        _mm_prefetch(reinterpret_cast<const char*>(weights + b * tile.block_stride + 1024),
                     _MM_HINT_T0);
      }
    }
    for (int r = 0; r < kRows; ++r) {
      int32_t four;
      __builtin_memcpy(&four, x + r * tile.x_stride, sizeof four);
      const __m512i broadcast = _mm512_set1_epi32(four);
      for (int b = 0; b < kBlocks; ++b) {
        sums[r][b] = _mm512_dpbusd_epi32(sums[r][b], w[b], broadcast);
      }
    }
    weights += kBlock * kGroup;
    x += kGroup;
  }
  for (int r = 0; r < kRows; ++r) {
    for (int b = 0; b < kBlocks; ++b) {
      _mm512_storeu_si512(tile.sums + (r * kMaxBlocks + b) * kBlock, sums[r][b]);
    }
  }
}

template <int kRows>
inline void int8_tile_of(const Int8Tile& tile) {
  switch (tile.blocks) {
    case 1:
      return int8_tile_of<kRows, 1>(tile);
    case 2:
      return int8_tile_of<kRows, 2>(tile);
    case 3:
      return int8_tile_of<kRows, 3>(tile);
    default:
      return int8_tile_of<kRows, 4>(tile);
  }
}

void int8_tile(const Int8Tile& tile) {
  switch (tile.rows) {
    case 1:
      return int8_tile_of<1>(tile);
    case 2:
      return int8_tile_of<2>(tile);
    case 3:
      return int8_tile_of<3>(tile);
    case 4:
      return int8_tile_of<4>(tile);
    case 5:
      return int8_tile_of<5>(tile);
    default:
      return int8_tile_of<6>(tile);
  }
}

bool supported() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512vnni");
}

constexpr KernelTable kTable{"avx512-vnni", supported,     quantize,  int8_tile, float_tile,
                             norm_row,      attention_row, silu_gate, gelu,      gelu_tanh};

}  // namespace

const KernelTable& avx512_vnni_kernels() { return kTable; }

}  // namespace octet::cpu
