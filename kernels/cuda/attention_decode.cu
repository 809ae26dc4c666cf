// attention_decode: sequences with one row in the call. A block of four warps takes some splits of
// one KV head of one sequence, one after the other, its query heads as the eight columns of one
// tile; the block that comes last merges the splits.
//
// A warp copies and scores a quarter of a split's keys, then mixes all the split's values in a
// quarter of the dimensions. One buffer of keys, one of values, of a whole split each: the next
// keys come while the values are mixed, the next values while the keys are scored.
#include <algorithm>

#include "kernels/cuda/attention_call.h"
#include "kernels/cuda/attention_decode.cuh"
#include "kernels/cuda/attention_merge.cuh"
#include "kernels/cuda/occupancy.h"
#include "kernels/cuda/sequences.cuh"

namespace octet::cuda {
namespace {

using namespace decode;

template <int kDims, typename T>
class Splits {
  using L = Layout<kDims, T>;
  static constexpr int kTiles = kDims / 16 / kWarps;  // sixteens of dimensions of a warp

 public:
  __device__ Splits(const AttentionCall& call, const Round& round)
      : call_(call),
        round_(round),
        shared_(dynamic_shared()),
        warp_(threadIdx.x / 32),
        lane_(threadIdx.x % 32) {}

  // Finds what the block attends to, of what only uploads write, and asks L2 for it while the
  // kernel in front stores the newest key. false: nothing.
  __device__ bool prepare() {
    const int pair = blockIdx.y / round_.head_tiles;
    const int index = round_.first + pair / round_.kvs;
    kv_ = round_.first_kv + pair % round_.kvs;
    const int s = round_.by_row ? sequence_of(call_, index) : index;
    const int begin_row = call_.cu_seqlens[s], end_row = call_.cu_seqlens[s + 1];
    const int context = call_.context_lens[s];
    table_ = call_.block_tables + int64_t{s} * call_.max_blocks;
    if (round_.by_row ? end_row - begin_row < 2 : end_row - begin_row != 1) return false;
    row_ = round_.by_row ? index : begin_row;
    position_ = context - (end_row - row_);
    first_ = call_.sliding_window > 0 ? max(0, position_ - call_.sliding_window + 1) : 0;
    first_split_ = first_ / kAttentionSplit;
    last_split_ = position_ / kAttentionSplit;
    const int block = static_cast<int>(blockIdx.x), per_block = round_.block_splits;
    end_ = min((block + 1) * per_block - 1, last_split_) + 1;
    begin_ = max(block * per_block, first_split_);
    if (begin_ >= end_) return false;
    const int group_begin = (call_.kv_begin + kv_) * call_.group;
    first_head_ = max(call_.q_begin, group_begin) - call_.q_begin +
                  static_cast<int>(blockIdx.y) % round_.head_tiles * kTileHeads;
    heads_ = min(kTileHeads, min(call_.q_begin + call_.num_q, group_begin + call_.group) -
                                 call_.q_begin - first_head_);
    if (heads_ <= 0) return false;
    find_key(begin_);
    if (round_.prefetch) {
      prefetch(call_.k);
      prefetch(call_.v);
    }
    return true;
  }

  __device__ void run() {
    int split = begin_;
    load(call_.k, split, keys());
    load(call_.v, split, values());
    find_scales();
    load_query();
    __syncthreads();
    while (true) {
      const int next = split + 1;
      find_key(next);
      wait_copies<1>();
      __syncwarp();  // this warp's keys are there
      float scores[kChunks][4];
#pragma unroll
      for (int c = 0; c < kChunks; ++c) score(c, scores[c]);
      __syncwarp();
      load(call_.k, next, keys());
      weigh(split, scores);
      find_scales();
      wait_copies<1>();
      __syncthreads();  // the weights and values are there
      mix();
      if (next == end_) wait_copies<0>();  // none are left
      if (first_split_ == last_split_) return store_result();
      store_partial(split);
      if (next == end_) break;
      __syncthreads();
      load(call_.v, next, values());
      split = next;
    }
    if (last_to_come(call_.arrivals + blockIdx.y,
                     last_split_ / round_.block_splits - first_split_ / round_.block_splits + 1,
                     reinterpret_cast<int*>(shared_ + L::kMaxima))) {
      merge_splits<kThreads>(partials(), first_split_, last_split_, heads_, place(0));
    }
  }

 private:
  __device__ std::byte* keys() const { return shared_; }
  __device__ std::byte* values() const { return shared_ + L::kHalfBytes; }

  // Each lane finds one of its warp's keys of a split: lane_of(chunk, key).
  __device__ static int lane_of(int chunk, int key) { return chunk * kKeysOfWarp + key; }
  __device__ void find_key(int split) {
    const int p = split * kAttentionSplit + lane_ / kKeysOfWarp * kAttentionChunk +
                  warp_ * kKeysOfWarp + lane_ % kKeysOfWarp;
    cache_row_ = -1;
    if (split >= end_ || p < first_ || p > position_) return;
    const int block = p / call_.block_size;
    cache_row_ =
        (table_[block] * call_.num_kv + kv_) * call_.block_size + (p - block * call_.block_size);
  }
  __device__ void find_scales() {
    if constexpr (L::kInt8) {
      key_scale_ = cache_row_ < 0 ? 0.0f : call_.k_scales[cache_row_];
      value_scale_ = cache_row_ < 0 ? 0.0f : call_.v_scales[cache_row_];
    }
  }

  // A lane's key, or its value.
  __device__ void prefetch(const void* cache) const {
    if (cache_row_ < 0) return;
    const auto* row = static_cast<const T*>(cache) + int64_t{cache_row_} * call_.head_dim;
    for (int i = 0; i < call_.head_dim; i += kLine / static_cast<int>(sizeof(T))) {
      prefetch_line(row + i);
    }
  }

  // Copies this warp's keys of a split, or their values: one group, empty behind the last split.
  __device__ void load(const void* cache, int split, std::byte* to) const {
    constexpr int kAtOnce = 32 / L::kPieces;
    const int piece = lane_ % L::kPieces;
    const uint64_t policy = read_once();
    const bool inside = piece * L::kPieceElements < call_.head_dim;
    const T* from = static_cast<const T*>(cache) + (inside ? piece * L::kPieceElements : 0);
    if (split < end_) {
#pragma unroll
      for (int i = 0; i < 2 * kKeysOfWarp; i += kAtOnce) {
        const int key = i + lane_ / L::kPieces;
        const int row = __shfl_sync(0xffffffffu, cache_row_, key);
        const int at = i / kKeysOfWarp * kAttentionChunk + warp_ * kKeysOfWarp + key % kKeysOfWarp;
        copy_async16(to + swizzled<L::kCacheRowBytes>(at, piece),
                     from + int64_t{max(row, 0)} * call_.head_dim, inside && row >= 0 ? 16 : 0,
                     policy);
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
    if constexpr (L::kInt8) {
      float* scales = reinterpret_cast<float*>(shared_ + L::kQueryScales);
      for (int head = warp_; head < kTileHeads; head += kWarps) {
        const float scale = quantize_query<kDims>([&](int dim) { return query(head, dim); }, head,
                                                  to, to + L::kQueryBytes);
        if (lane_ == 0) scales[head] = scale;
      }
    } else {
      split_query<kTileHeads, kDims, kThreads>([&](int head, int dim) { return query(head, dim); },
                                               to, to + L::kQueryBytes);
    }
#pragma unroll
    for (int j = 0; j < 2; ++j) {
      const int head = lane_ % 4 * 2 + j;
      slope_[j] = call_.alibi_slopes != nullptr && head < heads_
                      ? call_.alibi_slopes[first_head_ + head] * kLog2E
                      : 0.0f;
    }
  }

  // Of this warp's keys of a chunk. scores[i] is of key lane_ / 4 + i / 2 * 8 and head
  // lane_ % 4 * 2 + i % 2.
  __device__ void score(int chunk, float (&scores)[4]) const {
    int32_t sums[2][4] = {};
#pragma unroll
    for (int i = 0; i < 4; ++i) scores[i] = 0;
    const int key = chunk * kAttentionChunk + warp_ * kKeysOfWarp + lane_ % 16;
    const std::byte* queries = shared_ + L::kQuery + lane_ / 16 * L::kQueryBytes;
#pragma unroll
    for (int step = 0; step < L::kCacheRowBytes / 32; ++step) {
      uint32_t k[4], q[4];  // of q two registers of each digit
      load_matrices(k, keys() + swizzled<L::kCacheRowBytes>(key, 2 * step + lane_ / 16));
      load_matrices(q, queries + swizzled<L::kCacheRowBytes>(lane_ % 8, 2 * step + lane_ / 8 % 2));
#pragma unroll
      for (int digit = 0; digit < 2; ++digit) {
        if constexpr (L::kInt8) {
          mma_s8(sums[digit], k, {q[2 * digit], q[2 * digit + 1]});
        } else {
          mma_bf16(scores, k, {q[2 * digit], q[2 * digit + 1]});
        }
      }
    }
    if constexpr (L::kInt8) {
      const float2 scale = reinterpret_cast<const float2*>(shared_ + L::kQueryScales)[lane_ % 4];
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int of_key = lane_of(chunk, lane_ / 4 + i / 2 * 8);
        scores[i] = static_cast<float>(254 * sums[0][i] + sums[1][i]) *
                    (i % 2 == 0 ? scale.x : scale.y) * __shfl_sync(0xffffffffu, key_scale_, of_key);
      }
    }
  }

  // Scores become weights, in shared memory.
  __device__ void weigh(int split, float (&scores)[kChunks][4]) {
    float2* maxima = reinterpret_cast<float2*>(shared_ + L::kMaxima) + lane_ % 4;
#pragma unroll
    for (int c = 0; c < kChunks; ++c) {
      const int first = split * kAttentionSplit + c * kAttentionChunk + warp_ * kKeysOfWarp;
      float top[2];
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int p = first + lane_ / 4 + i / 2 * 8;
        float& score = scores[c][i];
        if (call_.alibi_slopes != nullptr) {
          score = fmaf(slope_[i % 2], static_cast<float>(p - position_), score);
        }
        if (p < first_ || p > position_) score = -INFINITY;
        top[i % 2] = i < 2 ? score : fmaxf(top[i % 2], score);
      }
#pragma unroll
      for (int offset = 4; offset < 32; offset *= 2) {
        top[0] = fmaxf(top[0], __shfl_xor_sync(0xffffffffu, top[0], offset));
        top[1] = fmaxf(top[1], __shfl_xor_sync(0xffffffffu, top[1], offset));
      }
      if (lane_ < 4) maxima[(c * kWarps + warp_) * (kTileHeads / 2)] = make_float2(top[0], top[1]);
    }
    __syncthreads();
    maximum_[0] = maximum_[1] = -INFINITY;
#pragma unroll
    for (int c = 0; c < kChunks; ++c) {
      const float before[2] = {maximum_[0], maximum_[1]};
#pragma unroll
      for (int w = 0; w < kWarps; ++w) {
        const float2 top = maxima[(c * kWarps + w) * (kTileHeads / 2)];
        maximum_[0] = fmaxf(maximum_[0], top.x);
        maximum_[1] = fmaxf(maximum_[1], top.y);
      }
#pragma unroll
      for (int j = 0; j < 2; ++j) factor_[j] = rescale(before[j], maximum_[j]);
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const int key = lane_ / 4 + half * 8;
        std::byte* to = shared_ + L::kWeights + lane_ % 4 * 4 +
                        (c * kAttentionChunk + warp_ * kKeysOfWarp + key) * L::kWeightRowBytes;
        const float a = softmax_weight(scores[c][2 * half], maximum_[0]);
        const float b = softmax_weight(scores[c][2 * half + 1], maximum_[1]);
        store_weights(to, a, b);
        if constexpr (L::kInt8) {
          const float scale = __shfl_sync(0xffffffffu, value_scale_, lane_of(c, key));
          store_weights(to + L::kScaledWeights - L::kWeights, scaled_weight(a, scale),
                        scaled_weight(b, scale));
        }
      }
    }
  }

  // Of two neighbouring heads, in two digits.
  __device__ static void store_weights(std::byte* to, float first, float second) {
    uint32_t high, low;
    split_digits(first, second, high, low);
    *reinterpret_cast<uint32_t*>(to) = high;
    *reinterpret_cast<uint32_t*>(to + L::kWeightBytes) = low;
  }

  // The digits of the weights of 32 keys, two registers each 16.
  __device__ void load_weights(int where, int first_key, uint32_t (&high)[4],
                               uint32_t (&low)[4]) const {
    const std::byte* from = shared_ + where + (first_key + lane_) * L::kWeightRowBytes;
    load_matrices_transposed(high, from);
    load_matrices_transposed(low, from + L::kWeightBytes);
  }

  // The split, in this warp's dimensions. values_[.][i] is of head lane_ % 4 * 2 + i % 2, like
  // sum_[i].
  __device__ void mix() {
    const uint32_t ones[4] = {0x3f803f80u, 0x3f803f80u, 0x3f803f80u, 0x3f803f80u};
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      sum_[i] = 0;
#pragma unroll
      for (int m = 0; m < kTiles; ++m) values_[m][i] = 0;
    }
#pragma unroll
    for (int first = 0; first < kAttentionSplit; first += 32) {
      if (first == kAttentionChunk) {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          sum_[i] *= factor_[i % 2];
#pragma unroll
          for (int m = 0; m < kTiles; ++m) values_[m][i] *= factor_[i % 2];
        }
      }
      uint32_t high[4], low[4];
      load_weights(L::kWeights, first, high, low);
#pragma unroll
      for (int step = 0; step < 2; ++step) {
        mma_bf16(sum_, ones, {high[2 * step], high[2 * step + 1]});
        mma_bf16(sum_, ones, {low[2 * step], low[2 * step + 1]});
      }
      if constexpr (L::kInt8) load_weights(L::kScaledWeights, first, high, low);
#pragma unroll
      for (int m = 0; m < kTiles; ++m) {
        const int tile = warp_ * kTiles + m;
        uint32_t v[4];
        if constexpr (L::kInt8) {  // all 32 keys at once
          load_matrices_transposed(v, values() + swizzled<L::kCacheRowBytes>(first + lane_, tile));
        }
#pragma unroll
        for (int step = 0; step < 2; ++step) {
          uint32_t a[4];
          if constexpr (L::kInt8) {
#pragma unroll
            for (int i = 0; i < 4; ++i) a[i] = widen_pair(v[2 * step + i / 2] >> i % 2 * 8);
          } else {
            const int key = first + 16 * step + lane_ / 16 * 8 + lane_ % 8;
            load_matrices_transposed(
                a, values() + swizzled<L::kCacheRowBytes>(key, 2 * tile + lane_ / 8 % 2));
          }
          mma_bf16(values_[m], a, {high[2 * step], high[2 * step + 1]});
          mma_bf16(values_[m], a, {low[2 * step], low[2 * step + 1]});
        }
      }
    }
  }

  // f(head of the tile, dimension, value, sum, maximum) of what this lane holds.
  template <typename F>
  __device__ void each(const F& f) const {
#pragma unroll
    for (int m = 0; m < kTiles; ++m) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int head = lane_ % 4 * 2 + i % 2;
        const int dim = dimension_of<T>((warp_ * kTiles + m) * 16 + lane_ / 4 + i / 2 * 8);
        if (head < heads_ && dim < call_.head_dim) {
          f(head, dim, values_[m][i], sum_[i], maximum_[i % 2]);
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

  __device__ PartialSums partials() const {
    const int64_t floats = int64_t{round_.tile_heads} * (call_.head_dim + 2);
    return {.first = call_.partials + blockIdx.y * floats * round_.splits,
            .heads = round_.tile_heads,
            .head_dim = call_.head_dim};
  }

  __device__ void store_partial(int split) const {
    const PartialSums to = partials();
    each([&](int head, int dim, float value, float sum, float maximum) {
      float* part = to.at(split, head);
      part[dim] = value;
      if (dim == 0) {
        part[call_.head_dim] = sum;
        part[call_.head_dim + 1] = maximum;
      }
    });
  }

  const AttentionCall& call_;
  const Round& round_;
  std::byte* shared_;
  int warp_, lane_;
  const int32_t* table_ = nullptr;
  int first_split_ = 0, last_split_ = 0;  // of the row
  int begin_ = 0, end_ = 0;               // of the block
  int kv_ = 0, row_ = 0, position_ = 0, first_ = 0, first_head_ = 0, heads_ = 0;
  int cache_row_ = -1;  // counted over all blocks and heads, of this lane's key; -1: no key there
  float key_scale_ = 0, value_scale_ = 0;
  float slope_[2], maximum_[2];  // of this lane's heads
  float factor_[2];              // of the first chunk's sums when the second's come to them
  float sum_[4], values_[kTiles][4];
};

template <int kDims, typename T>
__global__ void __launch_bounds__(kThreads, Layout<kDims, T>::kBlocks)
    decode_kernel(const __grid_constant__ AttentionCall call, const __grid_constant__ Round round) {
  let_successor_start();
  Splits<kDims, T> splits(call, round);
  const bool any = splits.prepare();
  wait_for_predecessor();
  if (any) splits.run();
}

// Blocks of several splits have less to begin and end, where there are enough of them.
template <int kDims, typename T>
void launch_round(const AttentionCall& call, Round round, cudaStream_t stream) {
  constexpr int kSharedBytes = Layout<kDims, T>::kSharedBytes;
  static const int resident = resident_blocks(decode_kernel<kDims, T>, kThreads, kSharedBytes);
  const int pairs = round.count * round.kvs * round.head_tiles;
  round.block_splits = static_cast<int>(
      std::clamp(int64_t{pairs} * round.splits / (2 * resident), int64_t{1}, int64_t{kMostSplits}));
  const int blocks = (round.splits + round.block_splits - 1) / round.block_splits;
  round.prefetch = int64_t{blocks} * pairs <= resident;
  launch(decode_kernel<kDims, T>, dim3(blocks, pairs), dim3(kThreads), kSharedBytes, stream, call,
         round);
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

int head_tiles_of(const AttentionCall& call) { return (call.group + kTileHeads - 1) / kTileHeads; }
int tile_heads_of(const AttentionCall& call) { return std::min(call.group, kTileHeads); }

// How many (row, KV head, tile of its query heads) have room at once.
int64_t room(const AttentionCall& call) {
  const int64_t floats = int64_t{splits_of(call)} * tile_heads_of(call) * (call.head_dim + 2);
  return std::min({call.partial_floats / floats, call.max_arrivals, int64_t{65'535}});
}

void launch_rounds(const AttentionCall& call, bool by_row, cudaStream_t stream) {
  const int head_tiles = head_tiles_of(call);
  const int pairs = static_cast<int>(room(call) / head_tiles);
  const int kvs = std::min(call.num_kv, pairs), at_once = std::max(1, pairs / call.num_kv);
  const int count = by_row ? call.n : call.num_seqs;
  for (int first = 0; first < count; first += at_once) {
    for (int kv = 0; kv < call.num_kv; kv += kvs) {
      const Round round{.by_row = by_row,
                        .first = first,
                        .count = std::min(at_once, count - first),
                        .first_kv = kv,
                        .kvs = std::min(kvs, call.num_kv - kv),
                        .head_tiles = head_tiles,
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
  return attention_takes(call) && head_tiles_of(call) <= room(call);
}

void attention_decode(const AttentionCall& call, cudaStream_t stream) {
  launch_rounds(call, false, stream);
}

void attention_row_by_row(const AttentionCall& call, cudaStream_t stream) {
  launch_rounds(call, true, stream);
}

}  // namespace octet::cuda
