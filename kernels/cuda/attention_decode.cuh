// What a block of attention_decode.cu takes, and what lies where in its shared memory.
#pragma once

#include "kernels/cuda/attention.cuh"

namespace octet::cuda::decode {

constexpr int kWarps = 4;
constexpr int kThreads = 32 * kWarps;
constexpr int kTileHeads = 8;
constexpr int kLine = 128;                             // bytes
constexpr int kMostSplits = 4;                         // of a block
constexpr int kKeysOfWarp = kAttentionChunk / kWarps;  // of a chunk
constexpr int kChunks = kAttentionSplit / kAttentionChunk;
static_assert(kKeysOfWarp == 16 && kChunks == 2, "each lane finds one key of a split");

// What a launch covers: all KV heads [first_kv, + kvs) of sequences [first, + count), those of one
// row in the call, or of rows [first, + count), those of longer sequences.
struct Round {
  bool by_row = false;
  int first = 0, count = 0, first_kv = 0, kvs = 0;
  int head_tiles = 1;  // of a KV head's query heads
  int tile_heads = 1;  // query heads of a tile, at most
  int splits = 1;      // at most, of a sequence
  int block_splits = 1;
  bool prefetch = false;  // all blocks run at once: they may as well fetch ahead
};

// kDims: head_dim padded. Shared memory: K of a split, V; P in two digits, [key][head], then P by
// the values' scales; maxima [chunk][warp][head]; q in two digits; its scales.
template <int kDims, typename T>
struct Layout : ChunkLayout<kDims, T> {
  using Chunk = ChunkLayout<kDims, T>;
  using Chunk::kInt8, Chunk::kCacheRowBytes;
  static constexpr int kHalfBytes = kAttentionSplit * kCacheRowBytes;  // keys, or values
  static constexpr int kWeightRowBytes = 2 * kTileHeads;
  static constexpr int kWeightBytes = kAttentionSplit * kWeightRowBytes;  // of one digit
  static constexpr int kWeights = 2 * kHalfBytes;
  static constexpr int kScaledWeights = kWeights + (kInt8 ? 2 * kWeightBytes : 0);
  static constexpr int kMaxima = kScaledWeights + 2 * kWeightBytes;
  static constexpr int kQuery = kMaxima + kChunks * kWarps * kTileHeads * 4;
  static constexpr int kQueryBytes = kTileHeads * kCacheRowBytes;  // of one digit
  static constexpr int kQueryScales = kQuery + 2 * kQueryBytes;
  static constexpr int kSharedBytes = kQueryScales + kTileHeads * 4;
  static constexpr int kBlocks = kDims > 128 ? 1 : kInt8 ? 4 : 3;  // a multiprocessor
};

}  // namespace octet::cuda::decode
