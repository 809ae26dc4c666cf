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

constexpr int kGroupBytes = kBlock * kGroup;  // of the weights of a block
// Groups, a cache line each, that weights from memory are fetched ahead of their use.
constexpr int64_t kGroupsAhead = 24;

// Fetches weights of the same column from L2 into L1.
class FetchFromL2 {
 public:
  explicit FetchFromL2(const Int8Tile& tile) : ahead_(tile.fetch->ahead) {}
  void fetch(const uint8_t* weights, int64_t place) const {
    _mm_prefetch(reinterpret_cast<const char*>(weights + place + ahead_), _MM_HINT_T0);
  }
  void next_step() {}

 private:
  int64_t ahead_;
};

// Fetches from memory the weights just ahead, and beside the last ones the beginning of the next
// run. Into L1, where few rows need no room.
class FetchFromMemory {
 public:
  explicit FetchFromMemory(const Int8Tile& tile) : next_(tile.next) {
    const int64_t groups = tile.groups < kGroupsAhead ? tile.groups : kGroupsAhead;
    ahead_ = groups * kGroupBytes;
    own_ = tile.groups - groups;
    if (own_ == 0) ahead_ += next_;
  }
  void fetch(const uint8_t* weights, int64_t place) const {
    _mm_prefetch(reinterpret_cast<const char*>(weights + place + ahead_), _MM_HINT_T0);
  }
  void next_step() {
    if (--own_ == 0) ahead_ += next_;
  }

 private:
  int64_t ahead_;  // bytes
  int64_t own_;    // steps until what is ahead is the next run's
  int64_t next_;   // bytes from this run's end to it
};

// Fetches the tile's part of the next column into L2.
class FetchNextColumn {
 public:
  explicit FetchNextColumn(const Int8Tile& tile) : ahead_(*tile.fetch, tile.groups, kGroupBytes) {}
  void fetch(const uint8_t* weights, int64_t) const { ahead_.fetch(weights); }
  void next_step() { ahead_.next_step(); }

 private:
  FetchAhead ahead_;
};

// The low digits' groups: all of a shard.
template <typename Fetch>
class AllGroups {
 public:
  explicit AllGroups(const Int8Tile& tile) : digits(tile.x.low), count(tile.groups), fetch_(tile) {}

  int64_t place(int64_t i) const { return i * kGroupBytes; }  // of the weights in a block's shard
  void fetch(const uint8_t* weights, int64_t place) const { fetch_.fetch(weights, place); }
  void next_step() { fetch_.next_step(); }
  template <int kBlocks>
  using Sums = Leaves<kBlocks>;

  const int8_t* const digits;
  const int64_t count;

 private:
  Fetch fetch_;
};

// As Leaves, of sums that leaves are made of later.
template <int kBlocks, bool kHigh>
class KeptSums {
 public:
  KeptSums(const Int8Tile& tile, int first)
      : to_((kHigh ? tile.high : tile.low) + first * kBlock) {}
  void store(int r, const Ints16 (&sums)[kBlocks]) const {
#pragma GCC unroll 4
    for (int b = 0; b < kBlocks; ++b) {
      _mm512_storeu_si512(to_ + (r * kMaxBlocks + b) * kBlock, sums[b].v);
    }
  }

 private:
  int32_t* to_;
};

// The low digits' groups where their sums are kept.
class KeptGroups : public AllGroups<FetchFromMemory> {
 public:
  using AllGroups::AllGroups;
  template <int kBlocks>
  using Sums = KeptSums<kBlocks, false>;
};

// The high digits': those that many of the tile's rows have outliers in.
class SharedGroups {
 public:
  explicit SharedGroups(const Int8Tile& tile)
      : digits(tile.x.high), count(tile.x.shared_count), groups_(tile.x.shared_groups) {}

  int64_t place(int64_t i) const { return int64_t{groups_[i]} * kGroupBytes; }
  void fetch(const uint8_t*, int64_t) const {}
  void next_step() {}
  template <int kBlocks>
  using Sums = KeptSums<kBlocks, true>;

  const int8_t* const digits;
  const int64_t count;

 private:
  const uint16_t* groups_;
};

// gcc keeps an array of accumulators in registers only where the loops over it are unrolled early.
template <int kRows, int kBlocks, typename Groups>
inline void vnni(const Int8Tile& tile, Groups groups) {
  Ints16 acc[kRows][kBlocks];
  const int8_t* x[kRows];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
    x[r] = groups.digits + r * tile.x.digit_stride;
#pragma GCC unroll 8
    for (int b = 0; b < kBlocks; ++b) acc[r][b] = no_ints();
  }
  const uint8_t* weights[kBlocks];
#pragma GCC unroll 8
  for (int b = 0; b < kBlocks; ++b) weights[b] = tile.weights[b] + tile.begin;
  for (int64_t i = 0; i < groups.count; ++i) {
    const int64_t place = groups.place(i);
    __m512i w[kBlocks];
#pragma GCC unroll 8
    for (int b = 0; b < kBlocks; ++b) {
      w[b] = _mm512_loadu_si512(weights[b] + place);
      groups.fetch(weights[b], place);
    }
    groups.next_step();
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      int32_t four;
      __builtin_memcpy(&four, x[r] + i * kGroup, sizeof four);
      const __m512i broadcast = _mm512_set1_epi32(four);
#pragma GCC unroll 8
      for (int b = 0; b < kBlocks; ++b) avx512::multiply_add(acc[r][b].v, w[b], broadcast);
    }
  }
  const typename Groups::template Sums<kBlocks> sums(tile, 0);
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) sums.store(r, acc[r]);
}

template <typename Groups>
void vnni(const Int8Tile& tile, const Groups& groups) {
  with_count<kVnniRows>(tile.rows, [&]<int kRows>() {
    with_count<kMaxBlocks>(tile.blocks, [&]<int kBlocks>() { vnni<kRows, kBlocks>(tile, groups); });
  });
}

// Adds the products of high digits of single rows, of kBlocks blocks from `block` on.
template <int kBlocks>
void add_unshared(const Int8Tile& tile, int block) {
  const uint8_t* weights[kBlocks];
#pragma GCC unroll 8
  for (int b = 0; b < kBlocks; ++b) weights[b] = tile.weights[block + b] + tile.begin;
  for (int64_t i = 0; i < tile.x.unshared.count; ++i) {
    const ListedGroup& listed = tile.x.unshared.groups[i];
    int32_t four;
    __builtin_memcpy(&four, listed.digits, sizeof four);
    const __m512i broadcast = _mm512_set1_epi32(four);
    const int64_t place = int64_t{listed.group} * kGroupBytes;
    int32_t* sums = tile.high + (listed.row * kMaxBlocks + block) * kBlock;
#pragma GCC unroll 8
    for (int b = 0; b < kBlocks; ++b) {
      __m512i sum = _mm512_loadu_si512(sums + b * kBlock);
      avx512::multiply_add(sum, _mm512_loadu_si512(weights[b] + place), broadcast);
      _mm512_storeu_si512(sums + b * kBlock, sum);
    }
  }
}

// Of rows [first, end) and of kBlocks blocks from `block` on, of the sums in tile.low and
// tile.high.
template <int kBlocks>
inline void make_leaves(const Int8Tile& tile, int block, int first, int end) {
  const Leaves<kBlocks> leaves(tile, block);
  for (int r = first; r < end; ++r) {
    Ints16 low[kBlocks];
#pragma GCC unroll 4
    for (int b = 0; b < kBlocks; ++b) {
      low[b] = load_ints(tile.low + (r * kMaxBlocks + block + b) * kBlock);
    }
    leaves.store(r, low);
  }
}

#include "kernels/cpu/int8_amx.h"
// After it.
#include "kernels/cpu/attention_amx.h"

// Do the high digits come last? Where a few rows wait for weights from memory, which come in order
// while the low ones are multiplied, these are in the cache then.
bool high_last(const Int8Tile& tile) { return has_high(tile) && tile.fetch->from_memory; }

// Of the sums in tile.low and tile.high.
void make_leaves(const Int8Tile& tile) {
  with_count<kMaxBlocks>(tile.blocks,
                         [&]<int kBlocks>() { make_leaves<kBlocks>(tile, 0, 0, tile.rows); });
}

void vnni_products(const Int8Tile& tile) {
  const bool keeps = high_last(tile);
  if (keeps) vnni(tile, KeptGroups(tile));
  if (has_high(tile)) {
    vnni(tile, SharedGroups(tile));
    with_count<kMaxBlocks>(tile.blocks, [&]<int kBlocks>() { add_unshared<kBlocks>(tile, 0); });
  }
  if (keeps) return make_leaves(tile);
  if (tile.fetch->from_memory) {
    vnni(tile, AllGroups<FetchFromMemory>(tile));
  } else if (tile.fetch->in_cache) {
    vnni(tile, AllGroups<FetchFromL2>(tile));
  } else {
    vnni(tile, AllGroups<FetchNextColumn>(tile));
  }
}

void vnni_tile(const Int8Tile& tile, Int8Pending& pending) {
  if (pending.finish != nullptr) pending.finish(pending);
  vnni_products(tile);
  if (tile.finish != nullptr) finish_tile(*tile.finish);
}

void amx_tile(const Int8Tile& tile, Int8Pending& pending) {
  if (tile.rows <= kVnniRows) return vnni_tile(tile, pending);
  amx::configure_thread();
  amx_products(tile, pending);
}

Sharing amx_sharing(int rows) {
  return rows <= kVnniRows ? sharing(rows) : Sharing{.least = 2, .step = kTileGroups};
}

bool vnni_supported() { return avx512::available(); }
bool amx_supported() { return vnni_supported() && amx::available(); }

constexpr KernelTable kVnni{.name = "avx512-vnni",
                            .supported = vnni_supported,
                            .quantize = quantize,
                            .take_rest = nullptr,
                            .sharing = sharing,
                            .int8_rows = kVnniRows,
                            .int8_row_step = 1,
                            .band_rows = 48,
                            .bytes_that_stay = 0,
                            .widest_fetched = kNoLimit,
                            .outputs_that_stay = kNoLimit,
                            .int8_tile = vnni_tile,
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

constexpr KernelTable with_amx(KernelTable table) {
  table.name = "amx-int8";
  table.supported = amx_supported;
  table.sharing = amx_sharing;
  table.int8_rows = kAmxRows;
  table.int8_row_step = amx::kTileRows;
  table.band_rows = 256;
  table.bytes_that_stay = 1600 << 10;
  table.widest_fetched = 320 << 10;
  table.outputs_that_stay = int64_t{4} << 20;
  table.int8_tile = amx_tile;
  table.attention_rows = kMaxAttentionRows;
  table.attention_scratch_rows = kMaxAttentionRows;
  table.attention_digits = amx_attention_digits;
  table.attention_tile = amx_attention_tile;
  table.attention_split = amx_attention_split;
  return table;
}
constexpr KernelTable kAmx = with_amx(kVnni);

}  // namespace

const KernelTable& avx512_vnni_kernels() { return kVnni; }
const KernelTable& amx_kernels() { return kAmx; }

}  // namespace octet::cpu
