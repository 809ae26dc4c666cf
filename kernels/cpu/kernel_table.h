// KernelTable: the inner loops of the CPU back end, compiled once for each instruction set. The
// files that fill a table are compiled with that set's flags and therefore include no shared inline
// code; everything else sees these pointers.
//
// Weights lie in blocks of kBlock outputs; the lanes of a vector are outputs, so each output is one
// chain along K and a row's bits do not depend on how many rows or blocks a call has.
#pragma once

#include <cstdint>

#include "kernels/activation.h"

namespace octet::cpu {

inline constexpr int kBlock = 16;     // outputs of a weight block
inline constexpr int kMaxBlocks = 4;  // weight blocks of a tile
inline constexpr int kFloatTileRows = 6;
inline constexpr int kMaxInt8TileRows = 32;
inline constexpr int kMaxTileColumns = 64;
inline constexpr int kMaxAttentionRows = 64;
inline constexpr float kLeast = 4e-37f;  // kLeastAbsmax
inline constexpr float kLeastOutlier = 1e-33f;
inline constexpr int kChains = 256;     // kMagnitudeChains
inline constexpr int kSmallDigit = 64;  // two such digits' products fit 16 bits: 2 * 64 * 255
inline constexpr int kGroup = 4;        // values along K that one int8 instruction takes

enum class FloatFormat { kF32, kBF16, kF16, kI8 };
// kBF16Pairs: the elements of two neighbours alternate, of K along the head, of V along the keys.
enum class CacheFormat { kF32, kBF16, kBF16Pairs, kI8 };

// Where the digits of a shard of a row go.
struct RowDigits {
  int8_t* low;              // [padded]
  int8_t* high;             // [padded]: written in groups of kGroup values that have outliers
  uint8_t* outlier_groups;  // [padded / kGroup]: 1: it has. Both nullptr: no value is an outlier
};

// What there is to know of them.
struct QuantizedRow {
  float scale;
  int32_t low_sum, high_sum;
  int32_t outliers;  // how many values are
  bool high_small;   // are its high digits within -kSmallDigit to kSmallDigit?
};

// Digits that one row of a tile multiplies by.
struct ListedGroup {
  int8_t digits[kGroup];
  uint16_t group, row;  // of the shard, of the tile
};

struct GroupList {
  const ListedGroup* groups;
  int64_t count;
};

// Weights to be fetched during a tile, `ahead` bytes behind the ones that are multiplied. Several
// tiles may share this: the tile then fetches part `part` of `parts`.
struct WeightFetch {
  int64_t ahead;
  int part = 0, parts = 1;
  bool same_column = false;  // are they some of those that this tile multiplies, soon?
  bool in_cache = false;     // are they in L2 already, so that there is L1 at most to fetch into?
  // Is the tile its column's only or first one, which waits for what no other tile has fetched?
  // int8_tile with AVX512 then fetches just ahead of itself and in the end at Int8Tile::next,
  // whatever the other fields say; float_tile and AVX2 go by those.
  bool from_memory = false;
};

// Where a leaf of the reduction tree goes: row r of it to `to` + r * row_stride, [kBlock] a block.
// Before that the sums of `waiting` subtrees are added, the last one first. Those lie in scratch,
// [rows][kMaxBlocks][kBlock] at waiting_sums, waiting_sums + stride, ...
struct LeafPlace {
  float* to;
  int64_t row_stride;  // floats
  bool past_caches;    // is it written past the caches? Each row's begin is then 64-byte aligned
  const float* waiting_sums;  // leftmost first; they may be what is written to
  int waiting;
  int64_t stride;  // floats, at least rows * kMaxBlocks * kBlock
};

// A shard of the rows of a tile. Behind digits lie those that may be read but are not used:
// kMaxInt8TileRows rows and kMaxTileColumns columns in all.
struct TileRows {
  const QuantizedRow* rows;  // row r is rows[r * stride]
  int64_t stride;
  const int8_t* low;  // row r's digits are at r * digit_stride, high ones too
  int64_t digit_stride;
  GroupList rest;  // to be added to low digits
  // High digits of groups that many rows have outliers in, [shared_count, kGroup] a row.
  const int8_t* high;
  const uint16_t* shared_groups;
  int64_t shared_count;
  bool shared_small;   // are these within -kSmallDigit to kSmallDigit?
  GroupList unshared;  // high digits of the other groups, within these bounds if take_rest
};

// The end of a tile: the tree's roots become outputs.
struct FinishTile {
  const float* sums;      // [rows][kMaxBlocks][kBlock]
  const float* bias;      // [blocks, kBlock] or nullptr
  Activation activation;  // kSiluGate: of each two blocks the first is the gate
  int rows, blocks;
  float* out;  // row r's at out + r * out_stride
  int64_t out_stride;
  int outputs;       // of a row; what the blocks have behind them is padding
  bool past_caches;  // as LeafPlace's; no padding then
};

// One shard of a tile of int8 products, in fp32: leaves of the reduction tree. Weights are stored
// as w + 128, unsigned.
struct Int8Tile {
  TileRows x;
  const uint8_t* const* weights;  // [blocks]: where each is; at `begin` are the shard's
  int64_t begin;                  // [groups][kBlock][kGroup]
  // Bytes from their end to the next shard's, or behind the last to the next column's; 0 where none
  // follows.
  int64_t next;
  const float* scales;  // [blocks, kBlock]
  int rows, blocks;
  int64_t groups;
  const WeightFetch* fetch;
  int32_t *low, *high;  // scratch [kMaxInt8TileRows][kMaxBlocks][kBlock], on cache lines
  LeafPlace leaf;
  const FinishTile* finish;  // what is to be done once these leaves are there, or nullptr
};

// What int8_tile has left to be done, in registers of this thread and in a tile that was passed to
// it: the next int8_tile does it beside its own products, or else `finish`.
struct Int8Pending {
  void (*finish)(Int8Pending& pending) = nullptr;  // nullptr: nothing is left
  // The registers' sums, of the tile's blocks from `block` on, go to `sums`, as Int8Tile's. Leaves
  // are to be made of rows [row, tile->rows) after that, first the unshared groups' products.
  const Int8Tile* tile;
  int32_t* sums;
  int block, row;
};

struct FloatTile {
  const float* x;                 // [rows, x_stride]
  int64_t x_stride;               // floats
  const uint8_t* const* weights;  // [blocks]: where each is; at `begin` are the shard's
  int64_t begin;                  // [k][kBlock]
  FloatFormat format;
  int rows, blocks;
  int64_t k;
  const WeightFetch* fetch;
  float* sums;  // [rows][kMaxBlocks][kBlock]
};

struct NormRow {
  float* residual;          // [h] in and out
  const float* delta;       // [h] or nullptr
  const float* delta_bias;  // [h] or nullptr
  const float* weight;      // [h]
  const float* bias;        // [h] or nullptr
  float* out;               // [h] or nullptr
  int64_t h;
  float eps;
  bool layer_norm;
};

// One query head of one token.
struct AttentionRow {
  const float* q;  // [d]
  float* out;      // [d]
  int position;    // it sees [first, position]
  int first;
  float slope;  // of ALiBi, or 0
};

// Of a row over one split or several: weights are exp(score - maximum), `sum` is theirs; 0: the row
// sees none of the keys.
struct AttentionSum {
  float maximum = 0, sum = 0;
};

// The sequence is split every so many positions, the splits merged left to right.
inline constexpr int kSplit = 256;
inline constexpr int kScoreStride = kSplit + 2 * kBlock;
inline constexpr int kScoreRows = 16;

// Query rows of one sequence that read one KV head, close to each other in position.
struct AttentionTile {
  const AttentionRow* rows;  // [num_rows]
  int num_rows;              // at most KernelTable::attention_rows
  int d, padded;             // padded: up to a multiple of kBlock
  const void* k;             // the layer's cache at this KV head: position p is in block
  const void* v;             // table[p / block_size], block_stride elements from block to block
  const float* k_scales;     // kI8: of position p, scale [p % block_size] of block table[p /
  const float* v_scales;     // block_size], scale_stride floats from block to block
  CacheFormat format;
  int64_t block_stride, scale_stride;
  int block_size;
  const int32_t* table;
  float scale;
  float* scores;     // scratch [kScoreRows, kScoreStride]
  float* totals;     // scratch [KernelTable::attention_scratch_rows, padded]
  uint16_t* digits;  // scratch [KernelTable::attention_digits], on a cache line
  // Weighted values of a split, and their sums. attention_tile: scratch as totals;
  // attention_split: [num_rows, padded] and [num_rows] of its split; attention_join: of all splits,
  // one after the other.
  float* parts;
  AttentionSum* sums;
};

// A block of float weights as an Int8Sketch keeps it: weight = digit * scale, and an error.
struct SketchBlock {
  const uint8_t* weights;  // [columns][kBlock]
  FloatFormat format;      // not kI8
  int64_t columns;
  uint8_t* digits;          // as Int8Tile's weights
  float* scales;            // [kBlock]
  float *squares, *errors;  // [kBlock] sums over the columns: of (digit * scale)^2, of error^2
};

// A row of an Int8Sketch's logits. Those of a block are within error * sizes[block] + norm *
// errors[block] of the head's.
struct SketchScan {
  float* logits;  // [outputs]
  int64_t outputs;
  const float *sizes, *errors;  // [blocks]
  float norm, error;
  float floor;  // the head's largest logit is not below
};

inline constexpr int64_t kNoLimit = INT64_MAX;

// Groups of high digits are multiplied for all rows of a tile where `least` of them or half of them
// have some; and so are others that fill up a step of `step` groups.
struct Sharing {
  int least, step;
};

struct KernelTable {
  const char* name;
  bool (*supported)();
  // Quantises x to int8, zeros up to `padded`; see Backend::linear. Both limits: infinity for
  // kW8A8.
  void (*quantize)(const float* x, int64_t n, int64_t padded, float threshold, float ratio,
                   const RowDigits& digits, QuantizedRow* row);
  // For int8_tile, which multiplies pairs of low digits within 16 bits: takes what is too large for
  // that from row `row` of a tile and lists it. Returns how many groups. nullptr: nothing is.
  int64_t (*take_rest)(int8_t* low, int64_t padded, uint16_t row, ListedGroup* rest);
  Sharing (*sharing)(int rows);  // in a tile of so many
  int int8_rows;                 // rows of an int8 tile at most
  int int8_row_step;  // a tile takes as long as with its rows rounded up to a multiple of these
  int band_rows;      // rows that go through a column of weights while it is in the cache
  // A band of int8 rows that with two columns of weights takes at most so many bytes of L2 goes
  // through all columns before the next band does. 0: none does.
  int64_t bytes_that_stay;
  // An int8 column of more bytes is not fetched while the one before it is multiplied by several
  // tiles, but by its own first tile: L2 would not hold both beside the rows.
  int64_t widest_fetched;
  int64_t outputs_that_stay;  // bytes of outputs from which on these are written past the caches
  // See Backend::linear. What it leaves in `pending` is done, in order, by the calls that follow;
  // tiles that share it may share their scratch, that of sums which wait in the tree too. REQUIRES:
  // until then the tile and what it points to, but for `fetch`, live, and this thread runs no other
  // kernel; after the last call somebody calls pending.finish, if there is one.
  void (*int8_tile)(const Int8Tile& tile, Int8Pending& pending);
  void (*float_tile)(const FloatTile& tile);
  void (*finish_tile)(const FinishTile& tile);
  void (*norm_row)(const NormRow& row);
  int attention_rows;                      // of a tile at most, and no more than kMaxAttentionRows
  int attention_scratch_rows;              // see AttentionTile
  int64_t (*attention_digits)(int64_t d);  // how many, for heads of d elements
  // All of a tile; or the parts and sums of each split, by its first position, and then what they
  // give together, in order: the same bits.
  void (*attention_tile)(const AttentionTile& tile);
  void (*attention_split)(const AttentionTile& tile, int split);
  void (*attention_join)(const AttentionTile& tile, int splits);
  void (*sketch_block)(const SketchBlock& block);
  float (*sketch_floor)(const SketchScan& scan);  // the largest of what logits are not below
  // The first block of [block, end) with a logit that may be the largest, or end; -infinity in
  // those before it.
  int64_t (*sketch_next)(const SketchScan& scan, int64_t block, int64_t end);
};

const KernelTable& avx2_kernels();
const KernelTable& avx512_vnni_kernels();
const KernelTable& amx_kernels();  // AVX512 with VNNI and AMX

}  // namespace octet::cpu
