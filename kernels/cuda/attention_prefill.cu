// attention_prefill: sequences with more than one row in the call. A block of four warps takes 64
// rows of one query head (32 where head_dim is above 128, so that shared memory suffices); each
// warp has 16 rows and up to 128 dimensions of them, and keeps scores, weights and a split's values
// in registers, the values of the splits before it in shared memory. Two buffers of keys, one of
// values: while a chunk's keys are scored, its values and the next one's keys come. Where shared
// memory is short, one buffer of keys: the next ones come once they are scored.
//
// On paper (bf16, head_dim 128): a chunk is 264 mma a warp, 528 clocks of a multiprocessor's tensor
// cores at 1024 multiply-adds a clock, and 40 KiB of ldmatrix (320 clocks); two blocks a
// multiprocessor.
#include "kernels/cuda/attention.cuh"
#include "kernels/cuda/attention_call.h"
#include "kernels/cuda/occupancy.h"

namespace octet::cuda {
namespace {

constexpr int kWarps = 4, kThreads = 32 * kWarps;
constexpr int kChunksOfSplit = kAttentionSplit / kAttentionChunk;
constexpr int kTiles = kAttentionChunk / 8;  // of a warp's scores

// kDims: head_dim padded. Shared memory: what comes of a chunk, K then V; V's bf16 tile where the
// cache is int8; q in two digits; totals; cache rows of the keys of two splits; their scales.
template <int kDims, typename T>
struct Layout : ChunkLayout<kDims, T> {
  using Chunk = ChunkLayout<kDims, T>;
  using Chunk::kInt8, Chunk::kRowBytes, Chunk::kTileBytes, Chunk::kHalfBytes;
  static constexpr int kHalves = kDims > 128 ? 2 : 1;  // of the dimensions, a warp each
  static constexpr int kRows = 16 * kWarps / kHalves;
  static constexpr int kTile = 2 * kHalfBytes;
  static constexpr int kQuery = kTile + (kInt8 ? kTileBytes : 0);
  static constexpr int kQueryBytes = kRows * Chunk::kCacheRowBytes;  // of one digit
  static constexpr int kTotals = kQuery + 2 * kQueryBytes;
  static constexpr int kCacheRows = kTotals + kRows * kDims * 4;
  static constexpr int kScales = kCacheRows + 2 * kAttentionSplit * 4;  // of keys, of values
  static constexpr int kSharedBytes = kScales + (kInt8 ? 4 * kAttentionSplit * 4 : 0);
  static constexpr int kTwoKeyBytes = kSharedBytes + kHalfBytes;  // with odd chunks' keys
};

template <int kDims, typename T>
class RowTile {
  using L = Layout<kDims, T>;
  static constexpr int kEights = kDims / L::kHalves / 8;  // eights of dimensions of a warp

 public:
  __device__ RowTile(const AttentionCall& call, bool two_keys) : call_(call), two_keys_(two_keys) {}

  __device__ void run() {
    if (!find_tile()) return;
    const int last = position_of(min(first_row_ + L::kRows, end_row_) - 1);
    first_key_ = first_key_of(position_of(first_row_));
    const int begin = first_key_ / kAttentionChunk, end = last / kAttentionChunk + 1;
    last_key_ = last;
    find_cache_rows(begin / kChunksOfSplit);
    find_cache_rows(begin / kChunksOfSplit + 1);
    __syncthreads();
    load(call_.k, begin, keys(begin));
    load_query();
    for (int n = 0; n < kEights; ++n) totals()[n * kThreads] = make_float4(0, 0, 0, 0);
    clear_part();
    for (int chunk = begin; chunk < end; ++chunk) {
      const int next = chunk + 1;
      const bool seen = sees(chunk);
      wait_copies<0>();
      __syncthreads();  // the keys are there; the chunk before is done with
      load(call_.v, chunk, values());
      if (two_keys_) load(call_.k, next, keys(next));
      if (chunk % kChunksOfSplit == 0 && chunk > begin) find_cache_rows(next / kChunksOfSplit + 1);
      float scores[kTiles][4] = {};
      if (seen) score(keys(chunk), scores);
      if (!two_keys_) {
        __syncthreads();  // the keys are done with
        load(call_.k, next, keys(next));
      }
      if (seen) weigh(chunk, scores);
      wait_copies<1>();
      if constexpr (L::kInt8) widen_values<kDims, kThreads>(values(), tile());
      __syncthreads();  // the values are there
      if (seen) mix(L::kInt8 ? tile() : values(), scores);
      if (next % kChunksOfSplit == 0 || next == end) merge_split();
    }
    wait_copies<0>();  // none are left
    store_result();
  }

 private:
  // Block b of the tiles of all sequences: s has cu_seqlens[s + 1] / kRows - cu_seqlens[s] / kRows
  // + 1 of them, which is enough, from cu_seqlens[s] / kRows + s on. The last come first, of all
  // heads: they have the longest contexts.
  __device__ bool find_tile() {
    const int tile = static_cast<int>(gridDim.y - 1 - blockIdx.y);
    const auto first_tile = [&](int s) { return call_.cu_seqlens[s] / L::kRows + s; };
    int low = 0, high = call_.num_seqs - 1;
    while (low < high) {
      const int middle = (low + high + 1) / 2;
      if (first_tile(middle) <= tile) {
        low = middle;
      } else {
        high = middle - 1;
      }
    }
    sequence_ = low;
    const int begin_row = call_.cu_seqlens[low];
    end_row_ = call_.cu_seqlens[low + 1];
    first_row_ = begin_row + (tile - first_tile(low)) * L::kRows;
    context_ = call_.context_lens[low];
    head_ = blockIdx.x;
    kv_ = (call_.q_begin + head_) / call_.group - call_.kv_begin;
    return end_row_ - begin_row > 1 && first_row_ < end_row_;
  }

  __device__ int lane() const { return static_cast<int>(threadIdx.x) % 32; }
  __device__ int warp() const { return static_cast<int>(threadIdx.x) / 32; }
  __device__ int warp_row() const { return warp() / L::kHalves * 16; }
  __device__ int warp_eight() const { return warp() % L::kHalves * kEights; }
  __device__ int position_of(int row) const { return context_ - (end_row_ - row); }
  __device__ int first_key_of(int position) const {
    return call_.sliding_window > 0 ? max(0, position - call_.sliding_window + 1) : 0;
  }

  // Is a key of the chunk seen by a row of this warp?
  __device__ bool sees(int chunk) const {
    const int first = first_row_ + warp_row(), last = min(first + 16, end_row_) - 1;
    return first <= last && chunk * kAttentionChunk <= position_of(last) &&
           (chunk + 1) * kAttentionChunk > first_key_of(position_of(first));
  }

  // Are all its keys seen by all rows of this warp?
  __device__ bool sees_all(int chunk) const {
    const int first = first_row_ + warp_row(), last = min(first + 16, end_row_) - 1;
    return (chunk + 1) * kAttentionChunk <= position_of(first) + 1 &&
           chunk * kAttentionChunk >= first_key_of(position_of(last));
  }

  // Rows of the cache, counted over all blocks and heads; -1: no key there.
  __device__ int* cache_rows(int split) const {
    return reinterpret_cast<int*>(dynamic_shared() + L::kCacheRows) + split % 2 * kAttentionSplit;
  }
  __device__ void find_cache_rows(int split) const {
    const int32_t* table = call_.block_tables + int64_t{sequence_} * call_.max_blocks;
#pragma unroll 1
    for (int i = threadIdx.x; i < kAttentionSplit; i += kThreads) {
      const int p = split * kAttentionSplit + i;
      const int row = p < first_key_ || p > last_key_
                          ? -1
                          : (table[p / call_.block_size] * call_.num_kv + kv_) * call_.block_size +
                                p % call_.block_size;
      cache_rows(split)[i] = row;
      if constexpr (L::kInt8) {
        key_scales(split)[i] = row < 0 ? 0.0f : call_.k_scales[row];
        value_scales(split)[i] = row < 0 ? 0.0f : call_.v_scales[row];
      }
    }
  }
  // By position in the split.
  __device__ float* key_scales(int split) const {
    return reinterpret_cast<float*>(dynamic_shared() + L::kScales) + split % 2 * kAttentionSplit;
  }
  __device__ float* value_scales(int split) const {
    return key_scales(split) + 2 * kAttentionSplit;
  }

  __device__ std::byte* keys(int chunk) const {
    return dynamic_shared() + (two_keys_ ? chunk % 2 * L::kSharedBytes : 0);
  }
  __device__ std::byte* values() const { return dynamic_shared() + L::kHalfBytes; }
  __device__ std::byte* tile() const { return dynamic_shared() + L::kTile; }
  // This thread's, of the splits so far: those of values_[n] at [n * kThreads].
  __device__ float4* totals() const {
    return reinterpret_cast<float4*>(dynamic_shared() + L::kTotals) + threadIdx.x;
  }

  // Copies a chunk's keys or values: one group, empty behind the last chunk.
  __device__ void load(const void* cache, int chunk, std::byte* to) const {
    constexpr int kStep = kThreads / L::kPieces, kCopies = kAttentionChunk / kStep;
    const int key = threadIdx.x / L::kPieces, piece = threadIdx.x % L::kPieces;
    const int* rows =
        cache_rows(chunk / kChunksOfSplit) + chunk % kChunksOfSplit * kAttentionChunk + key;
    const bool inside = piece * L::kPieceElements < call_.head_dim;
    const T* from = static_cast<const T*>(cache) + piece * L::kPieceElements;
    if (chunk * kAttentionChunk <= last_key_) {
      int row[kCopies];  // all read before the first copy, behind which the next would wait
#pragma unroll
      for (int i = 0; i < kCopies; ++i) row[i] = rows[i * kStep];
#pragma unroll
      for (int i = 0; i < kCopies; ++i) {
        copy_async16(to + swizzled<L::kCacheRowBytes>(key + i * kStep, piece),
                     from + int64_t{max(row[i], 0)} * call_.head_dim,
                     inside && row[i] >= 0 ? 16 : 0);
      }
    }
    commit_copies();
  }

  __device__ float query(int row, int dim) const {
    if (row >= end_row_ || dim >= call_.head_dim) return 0.0f;
    const int64_t at = int64_t{row} * call_.width() + head_ * call_.head_dim + dim;
    return call_.qkv[at] * (call_.scale * kLog2E);
  }

  __device__ void load_query() {
    std::byte* to = dynamic_shared() + L::kQuery;
    if constexpr (L::kInt8) {
#pragma unroll 2
      for (int i = 0; i < 16; ++i) {  // of this warp
        const int row = warp_row() + i;
        const float scale = quantize_query<kDims>(
            [&](int dim) { return query(first_row_ + row, dim); }, row, to, to + L::kQueryBytes);
        if (i == lane() / 4) query_scale_[0] = scale;
        if (i == lane() / 4 + 8) query_scale_[1] = scale;
      }
    } else {
      split_query<L::kRows, kDims, kThreads>(
          [&](int row, int dim) { return query(first_row_ + row, dim); }, to, to + L::kQueryBytes);
    }
  }

  // Scores become weights.
  __device__ void weigh(int chunk, float (&scores)[kTiles][4]) {
    if constexpr (L::kInt8) {
      scale(key_scales(chunk / kChunksOfSplit), chunk, scores,
            [](float score, float scale) { return score * scale; });
    }
    if (call_.alibi_slopes != nullptr || !sees_all(chunk)) mask(chunk, scores);
    soften(chunk % kChunksOfSplit == 0, scores);
    if constexpr (L::kInt8) add_and_scale(chunk, scores);
  }

  // 32 bytes of this warp's rows of a digit of q, and of keys 8 * n to 8 * n + 15.
  __device__ void load_query_step(int digit, int step, uint32_t (&q)[4]) const {
    const int place = swizzled<L::kCacheRowBytes>(warp_row() + lane() % 16, 2 * step + lane() / 16);
    load_matrices(q, dynamic_shared() + L::kQuery + digit * L::kQueryBytes + place);
  }
  __device__ void load_key_step(const std::byte* keys, int n, int step, uint32_t (&k)[4]) const {
    const int key = n * 8 + lane() / 16 * 8 + lane() % 8;
    load_matrices(k, keys + swizzled<L::kCacheRowBytes>(key, 2 * step + lane() / 8 % 2));
  }

  __device__ void score(const std::byte* keys, float (&scores)[kTiles][4]) const {
    constexpr int kSteps = L::kCacheRowBytes / 32;
    if constexpr (L::kInt8) {
      int32_t sums[kTiles][4] = {};
#pragma unroll 1
      for (int digit = 0; digit < 2; ++digit) {
#pragma unroll
        for (int i = 0; i < 4 * kTiles; ++i) sums[i / 4][i % 4] *= 254;
#pragma unroll 4
        for (int step = 0; step < kSteps; ++step) {
          uint32_t q[4];
          load_query_step(digit, step, q);
#pragma unroll
          for (int n = 0; n < kTiles; n += 2) {
            uint32_t k[4];
            load_key_step(keys, n, step, k);
            mma_s8(sums[n], q, {k[0], k[1]});
            mma_s8(sums[n + 1], q, {k[2], k[3]});
          }
        }
      }
#pragma unroll
      for (int i = 0; i < 4 * kTiles; ++i) {
        scores[i / 4][i % 4] = static_cast<float>(sums[i / 4][i % 4]) * query_scale_[i % 4 / 2];
      }
    } else {
#pragma unroll 4
      for (int step = 0; step < kSteps; ++step) {
        uint32_t high[4], low[4];
        load_query_step(0, step, high);
        load_query_step(1, step, low);
#pragma unroll
        for (int n = 0; n < kTiles; n += 2) {
          uint32_t k[4];
          load_key_step(keys, n, step, k);
#pragma unroll
          for (int j = 0; j < 2; ++j) {
            mma_bf16(scores[n + j], high, {k[2 * j], k[2 * j + 1]});
            mma_bf16(scores[n + j], low, {k[2 * j], k[2 * j + 1]});
          }
        }
      }
    }
  }

  __device__ void mask(int chunk, float (&scores)[kTiles][4]) const {
    const int g = lane() / 4, t = lane() % 4;
    const bool sloped = call_.alibi_slopes != nullptr;
    const float slope = sloped ? call_.alibi_slopes[head_] * kLog2E : 0.0f;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int row = first_row_ + warp_row() + g + 8 * half;
      const int position = row < end_row_ ? position_of(row) : -1;
      const int first = first_key_of(position);
#pragma unroll
      for (int n = 0; n < kTiles; ++n) {
#pragma unroll
        for (int i = 0; i < 2; ++i) {
          const int p = chunk * kAttentionChunk + n * 8 + 2 * t + i;
          float& score = scores[n][2 * half + i];
          if (sloped) score = fmaf(slope, static_cast<float>(p - position), score);
          if (p < first || p > position) score = -INFINITY;
        }
      }
    }
  }

  // Scores become weights under the new maximum; the sums so far come under it too, but for a
  // split's first chunk, where they are zeros.
  __device__ void soften(bool first, float (&scores)[kTiles][4]) {
    float top[2], factor[2];
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      top[half] = maximum_[half];
#pragma unroll
      for (int n = 0; n < kTiles; ++n) {
        top[half] = fmaxf(top[half], fmaxf(scores[n][2 * half], scores[n][2 * half + 1]));
      }
      top[half] = fmaxf(top[half], __shfl_xor_sync(0xffffffffu, top[half], 1));
      top[half] = fmaxf(top[half], __shfl_xor_sync(0xffffffffu, top[half], 2));
      factor[half] = rescale(maximum_[half], top[half]);
      maximum_[half] = top[half];
    }
    if (!first) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        sum_[i] *= factor[i / 2];
#pragma unroll
        for (int n = 0; n < kEights; ++n) values_[n][i] *= factor[i / 2];
      }
    }
#pragma unroll
    for (int n = 0; n < kTiles; ++n) {
#pragma unroll
      for (int i = 0; i < 4; ++i) scores[n][i] = softmax_weight(scores[n][i], top[i / 2]);
    }
  }

  // Digits of the weights of one step's 16 keys.
  __device__ static void split_step(const float (&weights)[kTiles][4], int step,
                                    uint32_t (&high)[4], uint32_t (&low)[4]) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const float* pair = weights[2 * step + i / 2] + i % 2 * 2;
      split_digits(pair[0], pair[1], high[i], low[i]);
    }
  }

  __device__ void add_weights(const uint32_t (&high)[4], const uint32_t (&low)[4]) {
    const uint32_t ones[2] = {0x3f803f80u, 0x3f803f80u};
    mma_bf16(sum_, high, ones);
    mma_bf16(sum_, low, ones);
  }

  // Adds the weights up, then each takes its value's scale.
  __device__ void add_and_scale(int chunk, float (&weights)[kTiles][4]) {
#pragma unroll
    for (int step = 0; step < kAttentionChunk / 16; ++step) {
      uint32_t high[4], low[4];
      split_step(weights, step, high, low);
      add_weights(high, low);
    }
    scale(value_scales(chunk / kChunksOfSplit), chunk, weights,
          [](float weight, float scale) { return scaled_weight(weight, scale); });
  }

  // f(x, its key's scale) of each score or weight.
  template <typename F>
  __device__ void scale(const float* of_split, int chunk, float (&x)[kTiles][4], const F& f) const {
    const float* scales = of_split + chunk % kChunksOfSplit * kAttentionChunk + lane() % 4 * 2;
#pragma unroll
    for (int n = 0; n < kTiles; ++n) {
      const float2 pair = *reinterpret_cast<const float2*>(scales + n * 8);
#pragma unroll
      for (int i = 0; i < 4; ++i) x[n][i] = f(x[n][i], i % 2 == 0 ? pair.x : pair.y);
    }
  }

  __device__ void mix(const std::byte* values, const float (&weights)[kTiles][4]) {
#pragma unroll
    for (int step = 0; step < kAttentionChunk / 16; ++step) {
      uint32_t high[4], low[4];
      split_step(weights, step, high, low);
      if constexpr (!L::kInt8) add_weights(high, low);
#pragma unroll
      for (int n = 0; n < kEights; n += 2) {
        uint32_t v[4];
        load_matrices_transposed(
            v, values +
                   swizzled<L::kRowBytes>(16 * step + lane() % 16, warp_eight() + n + lane() / 16));
#pragma unroll
        for (int j = 0; j < 2; ++j) {
          mma_bf16(values_[n + j], high, {v[2 * j], v[2 * j + 1]});
          mma_bf16(values_[n + j], low, {v[2 * j], v[2 * j + 1]});
        }
      }
    }
  }

  __device__ void merge_split() {
    float a[2], b[2];
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const float joint = fmaxf(total_maximum_[half], maximum_[half]);
      a[half] = rescale(total_maximum_[half], joint);
      b[half] = rescale(maximum_[half], joint);
      total_maximum_[half] = joint;
      total_sum_[half] = merge(total_sum_[half], a[half], sum_[2 * half], b[half]);
    }
#pragma unroll
    for (int n = 0; n < kEights; ++n) {
      float4& total = totals()[n * kThreads];
      total = make_float4(
          merge(total.x, a[0], values_[n][0], b[0]), merge(total.y, a[0], values_[n][1], b[0]),
          merge(total.z, a[1], values_[n][2], b[1]), merge(total.w, a[1], values_[n][3], b[1]));
    }
    clear_part();
  }

  __device__ void clear_part() {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      maximum_[i / 2] = -INFINITY;
      sum_[i] = 0;
#pragma unroll
      for (int n = 0; n < kEights; ++n) values_[n][i] = 0;
    }
  }

  __device__ void store_result() const {
    const int g = lane() / 4, t = lane() % 4;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int row = first_row_ + warp_row() + g + 8 * half;
      if (row >= end_row_) continue;
      float* to = call_.out + (int64_t{row} * call_.num_q + head_) * call_.head_dim;
#pragma unroll
      for (int n = 0; n < kEights; ++n) {
        const float4 total = totals()[n * kThreads];
        const float pair[2] = {half == 0 ? total.x : total.z, half == 0 ? total.y : total.w};
#pragma unroll
        for (int i = 0; i < 2; ++i) {
          const int dim = dimension_of<T>((warp_eight() + n) * 8 + 2 * t + i);
          if (dim >= call_.head_dim) continue;
          to[dim] = result(pair[i], total_sum_[half]);
        }
      }
    }
  }

  const AttentionCall& call_;
  const bool two_keys_;
  int sequence_ = 0, first_row_ = 0, end_row_ = 0, context_ = 0, head_ = 0, kv_ = 0;
  int first_key_ = 0, last_key_ = 0;                // that a row of the tile sees
  float query_scale_[2];                            // kI8
  float maximum_[2], sum_[4], values_[kEights][4];  // of this split; the sum's columns are equal
  float total_maximum_[2] = {-INFINITY, -INFINITY}, total_sum_[2] = {};
};

template <int kDims, typename T>
__global__ void __launch_bounds__(kThreads, kDims > 128 ? 1 : 2)
    prefill_kernel(const __grid_constant__ AttentionCall call, bool two_keys) {
  let_successor_start();
  wait_for_predecessor();
  RowTile<kDims, T>(call, two_keys).run();
}

template <int kDims, typename T>
void launch_tiles(const AttentionCall& call, cudaStream_t stream) {
  using L = Layout<kDims, T>;
  const bool two_keys =
      L::kTwoKeyBytes <= device_attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin);
  launch(prefill_kernel<kDims, T>, dim3(call.num_q, call.n / L::kRows + call.num_seqs),
         dim3(kThreads), two_keys ? L::kTwoKeyBytes : L::kSharedBytes, stream, call, two_keys);
}

template <typename T>
void launch_tiles(const AttentionCall& call, cudaStream_t stream) {
  if (call.head_dim <= 64) {
    launch_tiles<64, T>(call, stream);
  } else if (call.head_dim <= 128) {
    launch_tiles<128, T>(call, stream);
  } else {
    launch_tiles<256, T>(call, stream);
  }
}

}  // namespace

bool attention_prefill_accepts(const AttentionCall& call) { return attention_takes(call); }

void attention_prefill(const AttentionCall& call, cudaStream_t stream) {
  if (call.cache_dtype == DType::kI8) {
    launch_tiles<int8_t>(call, stream);
  } else {
    launch_tiles<__nv_bfloat16>(call, stream);
  }
}

}  // namespace octet::cuda
