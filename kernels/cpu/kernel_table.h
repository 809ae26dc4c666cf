// KernelTable: the inner loops of the CPU back end, compiled once for each instruction set. The
// files that fill a table are compiled with that set's flags and therefore include no shared inline
// code; everything else sees these pointers.
//
// Weights lie in blocks of kBlock outputs; the lanes of a vector are outputs, so each output is one
// chain along K and a row's bits do not depend on how many rows or blocks a call has.
#pragma once

#include <cstdint>

namespace octet::cpu {

inline constexpr int kBlock = 16;     // outputs of a weight block
inline constexpr int kMaxRows = 6;    // rows of a tile
inline constexpr int kMaxBlocks = 4;  // weight blocks of a tile
inline constexpr int kGroup = 4;      // values along K that one int8 instruction takes

inline constexpr int kSpan = 64;  // values along K that the high digits are skipped by

enum class FloatFormat { kF32, kBF16, kF16, kI8 };

// One shard of a tile of int8 products. Weights are stored as w + 128, unsigned; the sum's excess
// of 128 * sum(x) is the caller's to take off.
struct Int8Tile {
  const int8_t* x;         // [rows, x_stride]
  int64_t x_stride;        // bytes
  const uint8_t* weights;  // [blocks][groups][kBlock][kGroup]
  int64_t block_stride;    // bytes from block to block
  int rows, blocks;
  int64_t groups;
  int32_t* sums;  // [rows][kMaxBlocks][kBlock]
};

// A shard of a row in int8.
struct QuantizedRow {
  int8_t* low;     // [padded]
  int8_t* high;    // [padded]: set only where there are outliers
  uint8_t* spans;  // [padded / kSpan, rounded up]: has the span a high digit? Likewise.
  float scale;
  int32_t low_sum, high_sum;
  int32_t outliers;
};

struct FloatTile {
  const float* x;        // [rows, x_stride]
  int64_t x_stride;      // floats
  const void* weights;   // [blocks][k][kBlock]
  int64_t block_stride;  // bytes
  FloatFormat format;
  int rows, blocks;
  int64_t k;
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

// One query row and the query heads that share one KV head.
struct AttentionRow {
  const float* q;  // [heads, d]
  int heads;
  int d;
  const void*
      k;  // the layer's cache at this KV head: position p is at p's block * block_stride + ...
  const void* v;
  FloatFormat format;    // kF32 or kBF16
  int64_t block_stride;  // elements from block to block
  int block_size;
  const int32_t* table;  // block of each block_size positions
  int position;          // of the row; it sees [first, position]
  int first;
  int split;  // positions of a split
  float scale;
  const float* slopes;  // [heads] or nullptr
  float* scores;        // scratch [heads, split]
  float* partial;       // scratch [heads, padded d]
  float* out;           // [heads, d]
};

struct KernelTable {
  const char* name;
  bool (*supported)();
  // Quantises x to int8, zeros up to `padded`; see Backend::linear. Both limits: infinity for
  // kW8A8.
  void (*quantize)(const float* x, int64_t n, int64_t padded, float threshold, float ratio,
                   QuantizedRow* row);
  void (*int8_tile)(const Int8Tile& tile);
  void (*float_tile)(const FloatTile& tile);
  void (*norm_row)(const NormRow& row);
  void (*attention_row)(const AttentionRow& row);
  // In place, n a multiple of kBlock: silu(gate) * up; gelu; gelu by tanh.
  void (*silu_gate)(float* gate, const float* up, int64_t n);
  void (*gelu)(float* x, int64_t n);
  void (*gelu_tanh)(float* x, int64_t n);
};

const KernelTable& avx2_kernels();
const KernelTable& avx512_vnni_kernels();

}  // namespace octet::cpu
