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

// Not the intrinsics: gcc 12 copies its accumulators around them. Products of unsigned by signed
// bytes are added in pairs, in 16 bits: exact where max(x, 0) and max(-x, 0) of the two are 128 at
// most in sum, because 255 * 128 fits. A register holds the sums of eight outputs, two those of a
// block.
inline void multiply_add(__m256i* sums, const __m256i* w, __m256i x, __m256i ones) {
  __m256i pairs;
  asm("vpmaddubsw %2, %4, %3\n\tvpmaddubsw %2, %5, %2\n\t"
      "vpmaddwd %6, %3, %3\n\tvpmaddwd %6, %2, %2\n\t"
      "vpaddd %3, %0, %0\n\tvpaddd %2, %1, %1"
      : "+x"(sums[0]), "+x"(sums[1]), "+&x"(x), "=&x"(pairs)
      : "x"(w[0]), "x"(w[1]), "x"(ones));
}

// The same, which uses up the weights, not x.
inline void multiply_add_once(__m256i* sums, __m256i first, __m256i second, __m256i x,
                              __m256i ones) {
  asm("vpmaddubsw %4, %2, %2\n\tvpmaddubsw %4, %3, %3\n\t"
      "vpmaddwd %5, %2, %2\n\tvpmaddwd %5, %3, %3\n\t"
      "vpaddd %2, %0, %0\n\tvpaddd %3, %1, %1"
      : "+x"(sums[0]), "+x"(sums[1]), "+&x"(first), "+&x"(second)
      : "x"(x), "x"(ones));
}

constexpr int kInt8Rows = 5;                  // rows by a block fit the registers
constexpr int kVectors = 2;                   // registers of a block
constexpr int kGroupBytes = kBlock * kGroup;  // of its weights

inline __m256i load_weights(const uint8_t* group, int v) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(group) + v);
}

inline __m256i broadcast_group(const int8_t* digits) {
  int32_t four;
  __builtin_memcpy(&four, digits, sizeof four);
  return _mm256_set1_epi32(four);
}

// Of 16-bit lanes, 0 or -1: those whose pair of bytes multiply_add() cannot add.
inline __m256i large_pairs(__m256i x) {
  const __m256i none = _mm256_setzero_si256(), ones = _mm256_set1_epi8(1);
  const __m256i positive = _mm256_max_epi8(x, none);
  const __m256i negative = _mm256_max_epi8(_mm256_sub_epi8(none, x), none);
  const __m256i most =
      _mm256_max_epi16(_mm256_maddubs_epi16(positive, ones), _mm256_maddubs_epi16(negative, ones));
  return _mm256_cmpgt_epi16(most, _mm256_set1_epi16(128));
}

// floor(x / 2) of each byte.
inline __m256i halved(__m256i x) {
  const __m256i sign = _mm256_set1_epi8(-128), bits = _mm256_set1_epi8(0x7f);
  const __m256i half = _mm256_and_si256(_mm256_srli_epi16(_mm256_xor_si256(x, sign), 1), bits);
  return _mm256_sub_epi8(half, _mm256_set1_epi8(64));
}

// Halves the low digits of large pairs, and lists what is left of them.
void take_rest(int64_t padded, QuantizedRow* row) {
  constexpr int kBytes = sizeof(__m256i);
  const auto take = [&](int8_t* low, int64_t at) {
    auto* bytes = reinterpret_cast<__m256i*>(low);
    const __m256i x = _mm256_loadu_si256(bytes), large = large_pairs(x);
    const __m256i small = _mm256_cmpeq_epi32(large, _mm256_setzero_si256());
    auto left = ~static_cast<uint32_t>(_mm256_movemask_ps(_mm256_castsi256_ps(small))) & 0xff;
    if (left == 0) return;
    const __m256i low_digits = _mm256_blendv_epi8(x, halved(x), large);
    _mm256_storeu_si256(bytes, low_digits);
    alignas(kBytes) int8_t rest[kBytes];
    _mm256_store_si256(reinterpret_cast<__m256i*>(rest), _mm256_sub_epi8(x, low_digits));
    for (; left != 0; left &= left - 1) {
      const int group = __builtin_ctz(left);
      append(&row->rest, at / kGroup + group, rest + group * kGroup);
    }
  };
  int64_t at = 0;
  for (; at + kBytes <= padded; at += kBytes) take(row->low + at, at);
  if (at == padded) return;
  int8_t last[kBytes] = {};
  const auto count = static_cast<size_t>(padded - at);
  __builtin_memcpy(last, row->low + at, count);
  take(last, at);
  __builtin_memcpy(row->low + at, last, count);
}

// A row's products with the groups that a list has; digits(all) tells which of them.
template <int kBlocks, typename Digits>
inline void add_listed(const Int8Tile& tile, const DigitGroups& list, __m256i (*sums)[kVectors],
                       const Digits& digits) {
  const __m256i ones = _mm256_set1_epi16(1);
  __m256i acc[kBlocks][kVectors];
  const uint8_t* weights[kBlocks];
#pragma GCC unroll 8
  for (int b = 0; b < kBlocks; ++b) {
    weights[b] = tile.weights[b] + tile.begin;
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) acc[b][v] = sums[b][v];
  }
  for (int i = 0; i < list.count; ++i) {
    const __m256i x = digits(broadcast_group(list.digits + i * kGroup));
    const int64_t at = list.groups[i] * kGroupBytes;
#pragma GCC unroll 8
    for (int b = 0; b < kBlocks; ++b) {
      multiply_add_once(acc[b], load_weights(weights[b] + at, 0), load_weights(weights[b] + at, 1),
                        x, ones);
    }
  }
#pragma GCC unroll 8
  for (int b = 0; b < kBlocks; ++b) {
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) sums[b][v] = acc[b][v];
  }
}

// The products of the high digits: of what they have within -64 to 64, and of what is beyond.
template <int kBlocks>
inline void high_of(const Int8Tile& tile, int r) {
  const DigitGroups& high = tile.x[r * tile.x_stride].high;
  __m256i sums[kBlocks][kVectors], beyond = _mm256_setzero_si256();
#pragma GCC unroll 8
  for (int b = 0; b < kBlocks; ++b) sums[b][0] = sums[b][1] = _mm256_setzero_si256();
  const auto small = [most = _mm256_set1_epi8(64), least = _mm256_set1_epi8(-64)](__m256i x) {
    return _mm256_max_epi8(_mm256_min_epi8(x, most), least);
  };
  add_listed<kBlocks>(tile, high, sums, [&](__m256i x) {
    beyond = _mm256_or_si256(beyond, _mm256_sub_epi8(x, small(x)));
    return small(x);
  });
  if (!_mm256_testz_si256(beyond, beyond)) {
    add_listed<kBlocks>(tile, high, sums, [&](__m256i x) { return _mm256_sub_epi8(x, small(x)); });
  }
  for (int b = 0; b < kBlocks; ++b) store_high(tile, r, b, {sums[b][0], sums[b][1]});
}

// The first cache line of each list.
inline void fetch_lists(const Int8Tile& tile) {
  const auto fetch = [](const DigitGroups& list) {
    if (list.count == 0) return;
    __builtin_prefetch(list.digits);
    __builtin_prefetch(list.groups);
  };
  for (int r = 0; r < tile.rows; ++r) {
    fetch(tile.x[r * tile.x_stride].rest);
    fetch(tile.x[r * tile.x_stride].high);
  }
}

// Not inlined: one copy of each, not one for each number of rows.
[[gnu::noinline]] void add_high(const Int8Tile& tile, int r) {
  with_count<kMaxBlocks>(tile.blocks, [&]<int kBlocks>() { high_of<kBlocks>(tile, r); });
}
[[gnu::noinline]] void add_rest(const Int8Tile& tile, int r, __m256i (*sums)[kVectors]) {
  with_count<kMaxBlocks>(tile.blocks, [&]<int kBlocks>() {
    add_listed<kBlocks>(tile, tile.x[r * tile.x_stride].rest, sums, [](__m256i x) { return x; });
  });
}

// The products of kRows rows' low digits with kBlocks blocks; fetch() at each group. gcc keeps an
// array of accumulators in registers only where the loops over it are unrolled early.
template <int kRows, int kBlocks, typename Fetch>
inline void multiply(const Int8Tile& tile, int block, const Fetch& fetch,
                     __m256i (*sums)[kMaxBlocks][kVectors]) {
  const __m256i ones = _mm256_set1_epi16(1);
  __m256i acc[kBlocks][kRows][kVectors];
  const int8_t* x[kRows];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
    x[r] = tile.x[r * tile.x_stride].low;
#pragma GCC unroll 8
    for (int b = 0; b < kBlocks; ++b) {
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) acc[b][r][v] = _mm256_setzero_si256();
    }
  }
  const uint8_t* weights[kBlocks];
  for (int b = 0; b < kBlocks; ++b) weights[b] = tile.weights[block + b] + tile.begin;
  for (int64_t g = 0; g < tile.groups; ++g) {
    fetch();
#pragma GCC unroll 8
    for (int b = 0; b < kBlocks; ++b) {
      const uint8_t* group = weights[b] + g * kGroupBytes;
      const __m256i w[] = {load_weights(group, 0), load_weights(group, 1)};
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) {
        multiply_add(acc[b][r], w, broadcast_group(x[r] + g * kGroup), ones);
      }
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
    for (int b = 0; b < kBlocks; ++b) {
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) sums[r][block + b][v] = acc[b][r][v];
    }
  }
}

// What is listed comes last: its weights are in the cache then.
template <int kRows>
inline void int8_tile_of(const Int8Tile& tile) {
  __m256i sums[kRows][kMaxBlocks][kVectors];
  const auto nothing = [] {};
  int block = 0;
  if constexpr (kRows == 1) {  // one row waits for memory, which gives more to two streams
    fetch_lists(tile);
    for (; block + 2 <= tile.blocks; block += 2) multiply<kRows, 2>(tile, block, nothing, sums);
  }
  for (; block < tile.blocks; ++block) {
    const uint8_t* begin = tile.weights[block] + tile.begin;
    const uint8_t* soon = block + 1 < tile.blocks
                              ? tile.weights[block + 1] + tile.begin
                              : tile.weights[0] + tile.begin + tile.groups * kGroupBytes;
    if (kRows > 1 && block + 1 == tile.blocks) fetch_lists(tile);
    if (tile.fetch.in_cache) {
      multiply<kRows, 1>(tile, block, nothing, sums);
    } else if (tile.fetch.same_column) {
      const auto fetch = [&] {
        fetch_into_l2(soon);
        soon += kGroupBytes;
      };
      multiply<kRows, 1>(tile, block, fetch, sums);
    } else {
      FetchAhead ahead(tile.fetch, tile.groups, kGroupBytes);
      const auto fetch = [&] {
        ahead.fetch(begin);
        ahead.next_step();
      };
      multiply<kRows, 1>(tile, block, fetch, sums);
    }
  }
  for (int r = 0; r < kRows; ++r) {
    const QuantizedRow& row = tile.x[r * tile.x_stride];
    if (row.rest.count > 0) add_rest(tile, r, sums[r]);
    if (row.high.count > 0) add_high(tile, r);
    for (int b = 0; b < tile.blocks; ++b) {
      store_leaf(tile, r, b, {sums[r][b][0], sums[r][b][1]});
    }
  }
}

void int8_tile(const Int8Tile& tile) {
  with_count<kInt8Rows>(tile.rows, [&]<int kRows>() { int8_tile_of<kRows>(tile); });
}

bool supported() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }

constexpr KernelTable kTable{.name = "avx2",
                             .supported = supported,
                             .quantize = quantize,
                             .take_rest = take_rest,
                             .int8_rows = kInt8Rows,
                             .int8_row_step = 1,
                             .band_rows = 60,
                             .rows_that_stay = 128 << 10,
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
