// attention_decode: sequences with one row in the call. A block of four warps takes one split of
// one KV head of one sequence, all its query heads as the rows of one tile; the block that comes
// last merges the splits.
//
// A warp copies and scores 16 keys of each chunk, then mixes all the chunk's values in a quarter of
// the dimensions. One buffer of keys, one of values: the next keys come while the values are mixed,
// the next values while the keys are scored, and five blocks a multiprocessor take turns.
#include <algorithm>

#include "kernels/cuda/attention.cuh"
#include "kernels/cuda/attention_call.h"
#include "kernels/cuda/sequences.cuh"

namespace octet::cuda {
namespace {

constexpr int kWarps = 4;
constexpr int kThreads = 32 * kWarps;
constexpr int kTileRows = 16;
constexpr int kMergeBatch = 8;  // splits whose loads fly together
constexpr int kKeysOfWarp = kAttentionChunk / kWarps;
constexpr int kChunksOfSplit = kAttentionSplit / kAttentionChunk;
static_assert(kKeysOfWarp * kChunksOfSplit == 32, "each lane finds one key of a split");

// What a launch covers: all KV heads [first_kv, + kvs) of sequences [first, + count), those of one
// row in the call, or of rows [first, + count), those of longer sequences.
struct Round {
  bool by_row = false;
  int first = 0, count = 0, first_kv = 0, kvs = 0;
  int row_tiles = 1;   // of a KV head's query heads
  int tile_heads = 1;  // query heads of a tile, at most
  int splits = 1;      // at most, of a sequence
};

// kDims: head_dim padded. Shared memory: K of a chunk, V; P in two digits, then P by the values'
// scales; maxima; q in two digits.
template <int kDims, typename T>
struct Layout : ChunkLayout<kDims, T> {
  using Chunk = ChunkLayout<kDims, T>;
  using Chunk::kInt8, Chunk::kRowBytes, Chunk::kHalfBytes;
  static constexpr int kWeightRowBytes = 2 * kAttentionChunk;
  static constexpr int kWeightBytes = kTileRows * kWeightRowBytes;  // of one digit
  static constexpr int kWeights = 2 * kHalfBytes;
  static constexpr int kScaledWeights = kWeights + (kInt8 ? 2 * kWeightBytes : 0);
  static constexpr int kMaxima = kScaledWeights + 2 * kWeightBytes;
  static constexpr int kQuery = kMaxima + kWarps * kTileRows * 4;
  static constexpr int kQueryBytes = kTileRows * kRowBytes;  // of one digit
  static constexpr int kSharedBytes = kQuery + 2 * kQueryBytes;
};

template <int kDims, typename T>
class Split {
  using L = Layout<kDims, T>;
  static constexpr int kSteps = kDims / 16;
  static constexpr int kTiles = kDims / 8 / kWarps;  // eights of dimensions of a warp

 public:
  __device__ Split(const AttentionCall& call, const Round& round)
      : call_(call),
        round_(round),
        shared_(dynamic_shared()),
        warp_(threadIdx.x / 32),
        lane_(threadIdx.x % 32) {}

  __device__ void run() {
    split_ = blockIdx.x;
    const int pair = blockIdx.y / round_.row_tiles;
    const int index = round_.first + pair / round_.kvs;
    kv_ = round_.first_kv + pair % round_.kvs;
    const int s = round_.by_row ? sequence_of(call_, index) : index;
    const int begin_row = call_.cu_seqlens[s], end_row = call_.cu_seqlens[s + 1];
    const int context = call_.context_lens[s];
    const int key = split_ * kAttentionSplit + lane_ / kKeysOfWarp * kAttentionChunk +
                    warp_ * kKeysOfWarp + lane_ % kKeysOfWarp;
    const int key_block =
        key < call_.max_context()
            ? call_.block_tables[int64_t{s} * call_.max_blocks + key / call_.block_size]
            : 0;
    if (round_.by_row ? end_row - begin_row < 2 : end_row - begin_row != 1) return;
    row_ = round_.by_row ? index : begin_row;
    position_ = context - (end_row - row_);
    first_ = call_.sliding_window > 0 ? max(0, position_ - call_.sliding_window + 1) : 0;
    const int first_split = first_ / kAttentionSplit, last_split = position_ / kAttentionSplit;
    if (split_ < first_split || split_ > last_split) return;
    const int group_begin = (call_.kv_begin + kv_) * call_.group;
    first_head_ = max(call_.q_begin, group_begin) - call_.q_begin +
                  static_cast<int>(blockIdx.y) % round_.row_tiles * kTileRows;
    heads_ = min(kTileRows, min(call_.q_begin + call_.num_q, group_begin + call_.group) -
                                call_.q_begin - first_head_);
    if (heads_ <= 0) return;

    if (key >= first_ && key <= position_) {
      cache_row_ = (key_block * call_.num_kv + kv_) * call_.block_size + key % call_.block_size;
      if constexpr (L::kInt8) {
        key_scale_ = call_.k_scales[cache_row_];
        value_scale_ = call_.v_scales[cache_row_];
      }
    }
    const int begin = max(first_, split_ * kAttentionSplit) / kAttentionChunk;
    end_ = min(position_ / kAttentionChunk, (split_ + 1) * kChunksOfSplit - 1) + 1;
    load(call_.k, begin, keys());
    load(call_.v, begin, values());
    load_query();
    __syncthreads();
    for (int chunk = begin; chunk < end_; ++chunk) {
      wait_copies<1>();
      __syncwarp();  // this warp's keys are there
      float scores[2][4] = {}, factor[2];
      score(scores);
      __syncwarp();
      load(call_.k, chunk + 1, keys());
      weigh(chunk, scores, factor);
      wait_copies<1>();
      __syncthreads();  // the weights and values are there
      mix(factor);
      __syncthreads();
      load(call_.v, chunk + 1, values());
    }
    wait_copies<0>();  // none are left
    if (first_split == last_split) {
      store_result();
    } else {
      store_partial();
      if (last_to_come(last_split - first_split + 1)) merge_splits(first_split, last_split);
    }
  }

 private:
  __device__ std::byte* keys() const { return shared_; }
  __device__ std::byte* values() const { return shared_ + L::kHalfBytes; }

  // The lane that found this warp's key `key` of a chunk.
  __device__ static int lane_of(int chunk, int key) {
    return chunk % kChunksOfSplit * kKeysOfWarp + key;
  }

  // Copies this warp's keys of a chunk, or their values: one group, empty behind the last chunk.
  __device__ void load(const void* cache, int chunk, std::byte* to) const {
    const int piece = lane_ % L::kPieces;
    const bool inside = piece * L::kPieceElements < call_.head_dim;
    const T* from = static_cast<const T*>(cache) + piece * L::kPieceElements;
    if (chunk < end_) {
#pragma unroll
      for (int i = 0; i < kKeysOfWarp; i += 32 / L::kPieces) {
        const int key = i + lane_ / L::kPieces;
        const int row = __shfl_sync(0xffffffffu, cache_row_, lane_of(chunk, key));
        const bool here = inside && row >= 0;
        copy_async16(to + swizzled<L::kCacheRowBytes>(warp_ * kKeysOfWarp + key, piece),
                     here ? from + int64_t{row} * call_.head_dim : cache, here ? 16 : 0);
      }
    }
    commit_copies();
  }

  __device__ float query(int head, int dim) const {
    if (head >= heads_ || dim >= call_.head_dim) return 0.0f;
    const int64_t at = int64_t{row_} * call_.width() + (first_head_ + head) * call_.head_dim + dim;
    return call_.qkv[at] * (call_.scale * kLog2E);
  }

  __device__ void load_query() {
    std::byte* to = shared_ + L::kQuery;
    for (int i = threadIdx.x; i < kTileRows * kDims / 2; i += kThreads) {
      const int head = i / (kDims / 2), dim = i % (kDims / 2) * 2;
      uint32_t high, low;
      split_digits(query(head, dimension_of<T>(dim)), query(head, dimension_of<T>(dim + 1)), high,
                   low);
      const int place = swizzled<L::kRowBytes>(head, dim / 8) + dim % 8 * 2;
      *reinterpret_cast<uint32_t*>(to + place) = high;
      *reinterpret_cast<uint32_t*>(to + L::kQueryBytes + place) = low;
    }
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const int head = lane_ / 4 + 8 * i;
      slope_[i] = call_.alibi_slopes != nullptr && head < heads_
                      ? call_.alibi_slopes[first_head_ + head] * kLog2E
                      : 0.0f;
      maximum_[i] = -INFINITY;
    }
  }

  // Of this warp's keys.
  __device__ void score(float (&scores)[2][4]) const {
    const int key = warp_ * kKeysOfWarp + lane_ / 16 * 8 + lane_ % 8;
    uint32_t k[4];
#pragma unroll
    for (int step = 0; step < kSteps; ++step) {
      uint32_t high[4], low[4];
      const int place = swizzled<L::kRowBytes>(lane_ % 16, 2 * step + lane_ / 16);
      load_matrices(high, shared_ + L::kQuery + place);
      load_matrices(low, shared_ + L::kQuery + L::kQueryBytes + place);
      if (!L::kInt8 || step % 2 == 0) {  // of int8, 32 dimensions at once
        const int piece = (L::kInt8 ? step : 2 * step) + lane_ / 8 % 2;
        load_matrices(k, keys() + swizzled<L::kCacheRowBytes>(key, piece));
      }
#pragma unroll
      for (int n = 0; n < 2; ++n) {
        const uint32_t raw = k[2 * n + step % 2];
        const uint32_t of_tile[2] = {L::kInt8 ? widen_pair(raw) : k[2 * n],
                                     L::kInt8 ? widen_pair(raw >> 8) : k[2 * n + 1]};
        mma_bf16(scores[n], high, of_tile);
        mma_bf16(scores[n], low, of_tile);
      }
    }
  }

  // Scores become weights, in shared memory; `factor` is what the sums so far are multiplied by.
  __device__ void weigh(int chunk, float (&scores)[2][4], float (&factor)[2]) {
    const int g = lane_ / 4, t = lane_ % 4;
    float top[2] = {-INFINITY, -INFINITY};
#pragma unroll
    for (int n = 0; n < 2; ++n) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int key = 8 * n + 2 * t + i % 2;
        const int p = chunk * kAttentionChunk + warp_ * kKeysOfWarp + key;
        float& score = scores[n][i];
        if constexpr (L::kInt8) {
          score *= __shfl_sync(0xffffffffu, key_scale_, lane_of(chunk, key));
        }
        if (call_.alibi_slopes != nullptr) {
          score = fmaf(slope_[i / 2], static_cast<float>(p - position_), score);
        }
        if (p < first_ || p > position_) score = -INFINITY;
        top[i / 2] = fmaxf(top[i / 2], score);
      }
    }
    float* maxima = reinterpret_cast<float*>(shared_ + L::kMaxima);
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      top[i] = fmaxf(top[i], __shfl_xor_sync(0xffffffffu, top[i], 1));
      top[i] = fmaxf(top[i], __shfl_xor_sync(0xffffffffu, top[i], 2));
      if (t == 0) maxima[warp_ * kTileRows + g + 8 * i] = top[i];
    }
    __syncthreads();
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      float maximum = maximum_[i];
#pragma unroll
      for (int w = 0; w < kWarps; ++w) {
        maximum = fmaxf(maximum, maxima[w * kTileRows + g + 8 * i]);
      }
      factor[i] = rescale(maximum_[i], maximum);
      maximum_[i] = maximum;
    }
#pragma unroll
    for (int n = 0; n < 2; ++n) {
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        float pair[2];
#pragma unroll
        for (int j = 0; j < 2; ++j) pair[j] = softmax_weight(scores[n][2 * i + j], maximum_[i]);
        store_weights(L::kWeights, n, i, pair);
        if constexpr (L::kInt8) {
#pragma unroll
          for (int j = 0; j < 2; ++j) {
            const int lane = lane_of(chunk, 8 * n + 2 * t + j);
            pair[j] = scaled_weight(pair[j], __shfl_sync(0xffffffffu, value_scale_, lane));
          }
          store_weights(L::kScaledWeights, n, i, pair);
        }
      }
    }
  }

  // Two neighbouring weights, of row g + 8 * i, in two digits.
  __device__ void store_weights(int where, int n, int i, const float (&pair)[2]) const {
    uint32_t high, low;
    split_digits(pair[0], pair[1], high, low);
    std::byte* to = shared_ + where + lane_ % 4 * 4 +
                    swizzled<L::kWeightRowBytes>(lane_ / 4 + 8 * i, warp_ * kKeysOfWarp / 8 + n);
    *reinterpret_cast<uint32_t*>(to) = high;
    *reinterpret_cast<uint32_t*>(to + L::kWeightBytes) = low;
  }

  // All of the chunk, in this warp's dimensions.
  __device__ void mix(const float (&factor)[2]) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      sum_[i] *= factor[i / 2];
#pragma unroll
      for (int n = 0; n < kTiles; ++n) values_[n][i] *= factor[i / 2];
    }
    const uint32_t ones[2] = {0x3f803f80u, 0x3f803f80u};
    uint32_t v[kTiles / 2][4];  // of int8, 32 keys at once
#pragma unroll
    for (int step = 0; step < kAttentionChunk / 16; ++step) {
      uint32_t high[4], low[4];
      const int place = swizzled<L::kWeightRowBytes>(lane_ % 16, 2 * step + lane_ / 16);
      load_matrices(high, shared_ + L::kWeights + place);
      load_matrices(low, shared_ + L::kWeights + L::kWeightBytes + place);
      mma_bf16(sum_, high, ones);
      mma_bf16(sum_, low, ones);
      if constexpr (L::kInt8) {
        load_matrices(high, shared_ + L::kScaledWeights + place);
        load_matrices(low, shared_ + L::kScaledWeights + L::kWeightBytes + place);
      }
#pragma unroll
      for (int m = 0; m < kTiles / 2; ++m) {
        const int tile = warp_ * kTiles + 2 * m;
        if (!L::kInt8 || step % 2 == 0) {
          const int key = 16 * step + lane_ % (L::kInt8 ? 32 : 16);
          const int piece = L::kInt8 ? tile / 2 : tile + lane_ / 16;
          load_matrices_transposed(v[m], values() + swizzled<L::kCacheRowBytes>(key, piece));
        }
        uint32_t of_tiles[2][2] = {{v[m][0], v[m][1]}, {v[m][2], v[m][3]}};
        if constexpr (L::kInt8) {
#pragma unroll
          for (int j = 0; j < 2; ++j) {
            const uint32_t raw = v[m][step % 2 * 2 + j];
            of_tiles[0][j] = widen_pair(raw);
            of_tiles[1][j] = widen_pair(raw >> 8);
          }
        }
#pragma unroll
        for (int j = 0; j < 2; ++j) {
          mma_bf16(values_[2 * m + j], high, of_tiles[j]);
          mma_bf16(values_[2 * m + j], low, of_tiles[j]);
        }
      }
    }
  }

  // f(head of the tile, dimension, value, sum, maximum) of what this lane holds.
  template <typename F>
  __device__ void each(const F& f) const {
    const int g = lane_ / 4, t = lane_ % 4;
#pragma unroll
    for (int n = 0; n < kTiles; ++n) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int head = g + i / 2 * 8;
        const int dim = dimension_of<T>((warp_ * kTiles + n) * 8 + 2 * t + i % 2);
        if (head < heads_ && dim < call_.head_dim) {
          f(head, dim, values_[n][i], sum_[i], maximum_[i / 2]);
        }
      }
    }
  }

  __device__ float* place(int head) const {
    return call_.out + (int64_t{row_} * call_.num_q + first_head_ + head) * call_.head_dim;
  }

  __device__ void store_result() const {
    each([&](int head, int dim, float value, float sum, float) {
      place(head)[dim] = result(value, sum);
    });
  }

  // [tile_heads][head_dim + 2]: values, sum, maximum.
  __device__ float* partial(int split) const {
    return call_.partials +
           (int64_t{blockIdx.y} * round_.splits + split) * round_.tile_heads * (call_.head_dim + 2);
  }

  __device__ void store_partial() const {
    float* to = partial(split_);
    const int width = call_.head_dim + 2;
    each([&](int head, int dim, float value, float sum, float maximum) {
      to[head * width + dim] = value;
      if (dim == 0) {
        to[head * width + width - 2] = sum;
        to[head * width + width - 1] = maximum;
      }
    });
  }

  __device__ bool last_to_come(int splits) {
    __threadfence();
    __syncthreads();
    int* last = reinterpret_cast<int*>(shared_ + L::kMaxima);
    if (threadIdx.x == 0) {
      unsigned* arrivals = call_.arrivals + blockIdx.y;
      *last = atomicAdd(arrivals, 1u) + 1 == static_cast<unsigned>(splits);
      if (*last != 0) *arrivals = 0;
    }
    __syncthreads();
    if (*last != 0) __threadfence();
    return *last != 0;
  }

  __device__ void merge_splits(int first_split, int last_split) const {
    const int d = call_.head_dim, width = d + 2;
    for (int i = threadIdx.x; i < heads_ * d; i += kThreads) {
      const int head = i / d, dim = i % d;
      float total = 0, sum = 0, maximum = -INFINITY;
      for (int batch = first_split; batch <= last_split; batch += kMergeBatch) {
        float maxima[kMergeBatch], sums[kMergeBatch], values[kMergeBatch];
#pragma unroll
        for (int j = 0; j < kMergeBatch; ++j) {
          const float* part = partial(min(batch + j, last_split)) + head * width;
          maxima[j] = __ldcg(part + width - 1);
          sums[j] = __ldcg(part + width - 2);
          values[j] = __ldcg(part + dim);
        }
#pragma unroll
        for (int j = 0; j < kMergeBatch; ++j) {
          if (batch + j > last_split) break;
          const float joint = fmaxf(maximum, maxima[j]);
          const float a = rescale(maximum, joint), b = rescale(maxima[j], joint);
          total = merge(total, a, values[j], b);
          sum = merge(sum, a, sums[j], b);
          maximum = joint;
        }
      }
      place(head)[dim] = result(total, sum);
    }
  }

  const AttentionCall& call_;
  const Round& round_;
  std::byte* shared_;
  int warp_, lane_;
  int split_ = 0, end_ = 0;  // the chunk behind the last
  int kv_ = 0, row_ = 0, position_ = 0, first_ = 0, first_head_ = 0, heads_ = 0;
  int cache_row_ = -1;  // counted over all blocks and heads, of this lane's key; -1: no key there
  float key_scale_ = 0, value_scale_ = 0;
  float slope_[2], maximum_[2];
  float sum_[4] = {};
  float values_[kTiles][4] = {};
};

template <int kDims, typename T>
__global__ void __launch_bounds__(kThreads, kDims > 128 ? 2 : 5)
    decode_kernel(const __grid_constant__ AttentionCall call, const __grid_constant__ Round round) {
  let_successor_start();
  wait_for_predecessor();
  Split<kDims, T>(call, round).run();
}

template <int kDims, typename T>
void launch_round(const AttentionCall& call, const Round& round, cudaStream_t stream) {
  launch(decode_kernel<kDims, T>, dim3(round.splits, round.count * round.kvs * round.row_tiles),
         dim3(kThreads), Layout<kDims, T>::kSharedBytes, stream, call, round);
}

template <typename T>
void launch_round(const AttentionCall& call, const Round& round, cudaStream_t stream) {
  if (call.head_dim <= 64) {
    launch_round<64, T>(call, round, stream);
  } else if (call.head_dim <= 128) {
    launch_round<128, T>(call, round, stream);
  } else {
    launch_round<256, T>(call, round, stream);
  }
}

int splits_of(const AttentionCall& call) {
  return static_cast<int>((call.max_context() + kAttentionSplit - 1) / kAttentionSplit);
}

int row_tiles_of(const AttentionCall& call) { return (call.group + kTileRows - 1) / kTileRows; }
int tile_heads_of(const AttentionCall& call) { return std::min(call.group, kTileRows); }

// How many (row, KV head, tile of its query heads) have room at once.
int64_t room(const AttentionCall& call) {
  const int64_t floats = int64_t{splits_of(call)} * tile_heads_of(call) * (call.head_dim + 2);
  return std::min({call.partial_floats / floats, call.max_arrivals, int64_t{65'535}});
}

void launch_rounds(const AttentionCall& call, bool by_row, cudaStream_t stream) {
  const int row_tiles = row_tiles_of(call);
  const int pairs = static_cast<int>(room(call) / row_tiles);
  const int kvs = std::min(call.num_kv, pairs), at_once = std::max(1, pairs / call.num_kv);
  const int count = by_row ? call.n : call.num_seqs;
  for (int first = 0; first < count; first += at_once) {
    for (int kv = 0; kv < call.num_kv; kv += kvs) {
      const Round round{.by_row = by_row,
                        .first = first,
                        .count = std::min(at_once, count - first),
                        .first_kv = kv,
                        .kvs = std::min(kvs, call.num_kv - kv),
                        .row_tiles = row_tiles,
                        .tile_heads = tile_heads_of(call),
                        .splits = splits_of(call)};
      if (call.cache_dtype == DType::kI8) {
        launch_round<int8_t>(call, round, stream);
      } else {
        launch_round<__nv_bfloat16>(call, round, stream);
      }
    }
  }
}

}  // namespace

bool attention_decode_accepts(const AttentionCall& call) {
  return attention_takes(call) && row_tiles_of(call) <= room(call);
}

void attention_decode(const AttentionCall& call, cudaStream_t stream) {
  launch_rounds(call, false, stream);
}

void attention_row_by_row(const AttentionCall& call, cudaStream_t stream) {
  launch_rounds(call, true, stream);
}

}  // namespace octet::cuda
