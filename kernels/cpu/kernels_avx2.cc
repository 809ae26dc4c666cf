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
int64_t take_rest(int8_t* low, int64_t padded, uint16_t row, ListedGroup* rest) {
  constexpr int kBytes = sizeof(__m256i);
  int64_t count = 0;
  const auto take = [&](int8_t* from, int64_t at) {
    auto* bytes = reinterpret_cast<__m256i*>(from);
    const __m256i x = _mm256_loadu_si256(bytes), large = large_pairs(x);
    const __m256i small = _mm256_cmpeq_epi32(large, _mm256_setzero_si256());
    auto left = ~static_cast<uint32_t>(_mm256_movemask_ps(_mm256_castsi256_ps(small))) & 0xff;
    if (left == 0) return;
    const __m256i kept = _mm256_blendv_epi8(x, halved(x), large);
    _mm256_storeu_si256(bytes, kept);
    alignas(kBytes) int8_t taken[kBytes];
    _mm256_store_si256(reinterpret_cast<__m256i*>(taken), _mm256_sub_epi8(x, kept));
    for (; left != 0; left &= left - 1) {
      const int group = __builtin_ctz(left);
      ListedGroup& listed = rest[count++];
      __builtin_memcpy(listed.digits, taken + group * kGroup, kGroup);
      listed.group = static_cast<uint16_t>(at / kGroup + group);
      listed.row = row;
    }
  };
  int64_t at = 0;
  for (; at + kBytes <= padded; at += kBytes) take(low + at, at);
  if (at < padded) {
    int8_t last[kBytes] = {};
    const auto bytes = static_cast<size_t>(padded - at);
    __builtin_memcpy(last, low + at, bytes);
    take(last, at);
    __builtin_memcpy(low + at, last, bytes);
  }
  return count;
}

// The groups that multiply() goes through: where the i-th's weights are, in bytes behind a shard's
// first ones of a block; what it multiplies them by; what it fetches meanwhile.
template <typename Fetch>
struct AllGroups {
  static __m256i digits(__m256i x) { return x; }
  int64_t place(int64_t i) const { return i * kGroupBytes; }
  void fetch() const { fetch_weights(); }

  const Fetch& fetch_weights;
};
struct SharedGroups {
  static __m256i digits(__m256i x) { return x; }
  int64_t place(int64_t i) const { return int64_t{groups[i]} * kGroupBytes; }
  void fetch() const {}

  const uint16_t* groups;
};
struct Halves : SharedGroups {
  static __m256i digits(__m256i x) { return halved(x); }
};
struct OtherHalves : SharedGroups {
  static __m256i digits(__m256i x) { return _mm256_sub_epi8(x, halved(x)); }
};

// Sums of rows by blocks, [kRows][kMaxBlocks][kVectors].
using Sums = __m256i (*)[kMaxBlocks][kVectors];

// The products of kRows rows' digits, [count] groups each, with kBlocks blocks from `block` on, as
// sums or added to them. gcc keeps an array of accumulators in registers only where the loops over
// it are unrolled early.
template <int kRows, int kBlocks, bool kAdd, typename Groups>
inline void multiply(const Int8Tile& tile, const int8_t* digits, int64_t count,
                     const Groups& groups, int block, Sums sums) {
  const __m256i ones = _mm256_set1_epi16(1);
  __m256i acc[kBlocks][kRows][kVectors];
  const int8_t* x[kRows];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
    x[r] = digits + r * tile.x.digit_stride;
#pragma GCC unroll 8
    for (int b = 0; b < kBlocks; ++b) {
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) {
        acc[b][r][v] = kAdd ? sums[r][block + b][v] : _mm256_setzero_si256();
      }
    }
  }
  const uint8_t* weights[kBlocks];
#pragma GCC unroll 8
  for (int b = 0; b < kBlocks; ++b) weights[b] = tile.weights[block + b] + tile.begin;
  for (int64_t i = 0; i < count; ++i) {
    const int64_t place = groups.place(i);
    groups.fetch();
#pragma GCC unroll 8
    for (int b = 0; b < kBlocks; ++b) {
      const uint8_t* group = weights[b] + place;
      const __m256i w[] = {load_weights(group, 0), load_weights(group, 1)};
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) {
        multiply_add(acc[b][r], w, groups.digits(broadcast_group(x[r] + i * kGroup)), ones);
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

// The first cache line of each list.
inline void fetch_lists(const Int8Tile& tile) {
  if (tile.x.rest.count > 0) __builtin_prefetch(tile.x.rest.groups);
  if (tile.x.unshared.count > 0) __builtin_prefetch(tile.x.unshared.groups);
  if (tile.x.shared_count == 0) return;
  __builtin_prefetch(tile.x.shared_groups);
  for (int r = 0; r < tile.rows; ++r) __builtin_prefetch(tile.x.high + r * tile.x.digit_stride);
}

// Adds the products of single rows' groups. Not inlined: one copy, not one for each number of rows.
[[gnu::noinline]] void add_listed(const Int8Tile& tile, const GroupList& list, Sums sums) {
  with_count<kMaxBlocks>(tile.blocks, [&]<int kBlocks>() {
    const __m256i ones = _mm256_set1_epi16(1);
    const uint8_t* weights[kBlocks];
#pragma GCC unroll 8
    for (int b = 0; b < kBlocks; ++b) weights[b] = tile.weights[b] + tile.begin;
    for (int64_t i = 0; i < list.count; ++i) {
      const ListedGroup& listed = list.groups[i];
      const __m256i x = broadcast_group(listed.digits);
      const int64_t place = int64_t{listed.group} * kGroupBytes;
      auto& row = sums[listed.row];
#pragma GCC unroll 8
      for (int b = 0; b < kBlocks; ++b) {
#pragma GCC unroll 8
        for (int v = 0; v < kVectors; ++v) {
          const __m256i pairs = _mm256_maddubs_epi16(load_weights(weights[b] + place, v), x);
          row[b][v] = _mm256_add_epi32(row[b][v], _mm256_madd_epi16(pairs, ones));
        }
      }
    }
  });
}

// The products of high digits. Those of many rows are halved where pairs may be too large.
template <int kRows>
inline void multiply_high(const Int8Tile& tile) {
  const auto sums = reinterpret_cast<Sums>(tile.high);
  const auto add = [&]<bool kAdd>(const auto& groups) {
    const auto blocks = [&]<int kBlocks>(int block) {
      multiply<kRows, kBlocks, kAdd>(tile, tile.x.high, tile.x.shared_count, groups, block, sums);
    };
    int block = 0;
    if constexpr (kRows <= 2) {
      for (; block + 2 <= tile.blocks; block += 2) blocks.template operator()<2>(block);
    }
    for (; block < tile.blocks; ++block) blocks.template operator()<1>(block);
  };
  if (tile.x.shared_small) {
    add.template operator()<false>(SharedGroups{tile.x.shared_groups});
  } else {
    add.template operator()<false>(Halves{{tile.x.shared_groups}});
    add.template operator()<true>(OtherHalves{{tile.x.shared_groups}});
  }
  if (tile.x.unshared.count > 0) add_listed(tile, tile.x.unshared, sums);
}

// What is listed comes last: its weights are in the cache then.
template <int kRows>
inline void int8_tile_of(const Int8Tile& tile) {
  __m256i sums[kRows][kMaxBlocks][kVectors];
  const auto multiply_all = [&]<int kBlocks>(int block, const auto& fetch) {
    multiply<kRows, kBlocks, false>(tile, tile.x.low, tile.groups, AllGroups{fetch}, block, sums);
  };
  const auto nothing = [] {};
  if constexpr (kRows == 1) {  // one row waits for memory, which gives the most to four streams
    fetch_lists(tile);
    with_count<kMaxBlocks>(
        tile.blocks, [&]<int kBlocks>() { multiply_all.template operator()<kBlocks>(0, nothing); });
  } else {
    for (int block = 0; block < tile.blocks; ++block) {
      const uint8_t* begin = tile.weights[block] + tile.begin;
      const uint8_t* soon = block + 1 < tile.blocks
                                ? tile.weights[block + 1] + tile.begin
                                : tile.weights[0] + tile.begin + tile.groups * kGroupBytes;
      if (block + 1 == tile.blocks) fetch_lists(tile);
      if (tile.fetch->in_cache) {
        multiply_all.template operator()<1>(block, nothing);
      } else if (tile.fetch->same_column) {
        multiply_all.template operator()<1>(block, [&] {
          fetch_into_l2(soon);
          soon += kGroupBytes;
        });
      } else {
        FetchAhead ahead(*tile.fetch, tile.groups, kGroupBytes);
        multiply_all.template operator()<1>(block, [&] {
          ahead.fetch(begin);
          ahead.next_step();
        });
      }
    }
  }
  if (tile.x.rest.count > 0) add_listed(tile, tile.x.rest, sums);
  if (has_high(tile)) multiply_high<kRows>(tile);
  for (int b = 0; b < tile.blocks; ++b) {
    const Leaves<1> leaves(tile, b);
    for (int r = 0; r < kRows; ++r) {
      const Ints16 block[] = {{sums[r][b][0], sums[r][b][1]}};
      leaves.store(r, block);
    }
  }
}

void int8_tile(const Int8Tile& tile, Int8Pending&) {
  with_count<kInt8Rows>(tile.rows, [&]<int kRows>() { int8_tile_of<kRows>(tile); });
  if (tile.finish != nullptr) finish_tile(*tile.finish);
}

bool supported() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }

constexpr KernelTable kTable{.name = "avx2",
                             .supported = supported,
                             .quantize = quantize,
                             .take_rest = take_rest,
                             .sharing = sharing,
                             .int8_rows = kInt8Rows,
                             .int8_row_step = 1,
                             .band_rows = 60,
                             .bytes_that_stay = 384 << 10,
                             .widest_fetched = kNoLimit,
                             .outputs_that_stay = kNoLimit,
                             .int8_tile = int8_tile,
                             .float_tile = float_tile,
                             .finish_tile = finish_tile,
                             .norm_row = norm_row,
                             .attention_rows = 24,
                             .attention_scratch_rows = kFloatRows,
                             .attention_digits = no_attention_digits,
                             .attention_tile = attention_tile,
                             .attention_split = attention_split,
                             .attention_join = attention_join,
                             .sketch_block = sketch_block,
                             .sketch_floor = sketch_floor,
                             .sketch_next = sketch_next};

}  // namespace

const KernelTable& avx2_kernels() { return kTable; }

}  // namespace octet::cpu
