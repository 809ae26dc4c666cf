// kManyRows: tiles of 128 rows and 128 outputs on the tensor cores of compute capability 8.0 and
// later. Eight warps of 64 rows and 32 outputs each; a ring of kStages spans comes by asynchronous
// copies, of which the weights' are contiguous.
//
// On paper (A100, 2048 multiply-adds a clock and multiprocessor): a span of a tile is 512 clocks of
// mma and 8 x 6 KiB of ldmatrix, 384 clocks at 128 B/clock; two blocks a multiprocessor hide each
// other's waits.
#include "kernels/cuda/linear_kernels.h"
#include "kernels/cuda/many_rows.cuh"

namespace octet::cuda {
namespace {

constexpr int kRows = 128, kOutputs = 128, kThreads = 256, kStages = 4;
constexpr int kTileBytes = kRows * kSpan, kStageBytes = 2 * kTileBytes;
constexpr int kSums = 64;  // of a thread: 4 x 4 tiles of 16 x 8

// Byte of 16 bytes `chunk` of row `row` of a tile.
__device__ __forceinline__ int swizzled(int row, int chunk) {
  return row * kSpan + (chunk ^ row / 2 % 4) * 16;
}

// Spans of one leaf, first to last: all of them, or those that a mask in shared memory names.
class SpanList {
 public:
  __device__ SpanList(int begin, int end) : begin_(begin), end_(end), next_(begin) {}

  // From now on only those where a row of the tile has outliers; false: none. All threads call it.
  __device__ __forceinline__ bool keep_those_with_outliers(const LinearCall& call, int first_row,
                                                           uint32_t* masks) {
    const int first_word = begin_ / 32;
    __syncthreads();
    for (int word = first_word + static_cast<int>(threadIdx.x) / 32; word * 32 < end_;
         word += kThreads / 32) {
      const uint32_t mask = spans_with_outliers(call, first_row, kRows, word);
      if (threadIdx.x % 32 == 0) masks[word - first_word] = mask;
    }
    __syncthreads();
    masks_ = masks - first_word;
    next_ = begin_;
    const bool any = next() >= 0;
    next_ = begin_;
    return any;
  }

  __device__ __forceinline__ int next() {  // -1: no more
    if (masks_ != nullptr) {
      while (next_ < end_) {
        const uint32_t left = masks_[next_ / 32] >> next_ % 32;
        if (left != 0) {
          next_ += __ffs(static_cast<int>(left)) - 1;
          break;
        }
        next_ += 32 - next_ % 32;
      }
    }
    return next_ < end_ ? next_++ : -1;
  }

 private:
  const uint32_t* masks_ = nullptr;
  int begin_, end_, next_;
};

class Tile {
 public:
  __device__ Tile(const LinearCall& call, std::byte* shared)
      : call_(call),
        shared_(shared),
        first_row_(blockIdx.x * kRows),
        first_output_(blockIdx.y * kOutputs) {}

  // sums += the product over the spans of the list.
  __device__ __forceinline__ void multiply(const int8_t* digits, SpanList& spans,
                                           int32_t (&sums)[kSums]) {
    bool more = true;
    for (int stage = 0; stage < kStages - 1; ++stage) more = load(digits, spans, stage, more);
    for (int stage = 0; loaded_ > 0; stage = (stage + 1) % kStages) {
      wait_copies<kStages - 2>();
      __syncthreads();
      more = load(digits, spans, (stage + kStages - 1) % kStages, more);
      multiply_stage(stage, sums);
      --loaded_;
    }
    wait_copies<0>();
    __syncthreads();
  }

  __device__ __forceinline__ Chunks<16, 0> chunks() const {
    const int thread = opaque(static_cast<int>(threadIdx.x));  // not held meanwhile
    const int warp = thread / 32, lane = thread % 32;
    return {{first_row_ + warp / 4 * 64 + lane / 4, first_output_ + warp % 4 * 32 + lane % 4 * 2}};
  }

  __device__ int first_row() const { return first_row_; }

 private:
  // One group of copies, empty where there is nothing left.
  __device__ __forceinline__ bool load(const int8_t* digits, SpanList& spans, int stage,
                                       bool more) {
    const int span = more ? spans.next() : -1;
    if (span >= 0) {
      ++loaded_;
      std::byte* a = shared_ + stage * kStageBytes;
      const int8_t* weights =
          call_.weight + (int64_t{span} * call_.padded_rows + first_output_) * kSpan;
#pragma unroll
      for (int part = 0; part < kTileBytes / 16 / kThreads; ++part) {
        const int i = part * kThreads + static_cast<int>(threadIdx.x);
        const int row = first_row_ + i / 4;
        const int8_t* from =
            digits + int64_t{min(row, call_.n - 1)} * call_.padded_in + span * kSpan + i % 4 * 16;
        copy_async16(a + swizzled(i / 4, i % 4), from, row < call_.n ? 16 : 0);
        copy_async16(a + kTileBytes + i * 16, weights + i * 16);
      }
    }
    commit_copies();
    return span >= 0;
  }

  __device__ __forceinline__ void multiply_stage(int stage, int32_t (&sums)[kSums]) {
    const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
    const std::byte* a = shared_ + stage * kStageBytes;
    const std::byte* b = a + kTileBytes;
#pragma unroll
    for (int k = 0; k < kSpan / 32; ++k) {
      uint32_t of_rows[4][4], of_outputs[2][4];
#pragma unroll
      for (int m = 0; m < 4; ++m) {
        const int row = warp / 4 * 64 + m * 16 + lane % 16;
        load_matrices(of_rows[m], a + swizzled(row, k * 2 + lane / 16));
      }
#pragma unroll
      for (int n = 0; n < 2; ++n) {
        const int output = warp % 4 * 32 + n * 16 + lane / 16 * 8 + lane % 8;
        load_matrices(of_outputs[n], b + swizzled(output, k * 2 + lane / 8 % 2));
      }
#pragma unroll
      for (int m = 0; m < 4; ++m) {
#pragma unroll
        for (int n = 0; n < 4; ++n) {
          const uint32_t pair[2] = {of_outputs[n / 2][n % 2 * 2], of_outputs[n / 2][n % 2 * 2 + 1]};
          mma_s8(reinterpret_cast<int32_t(&)[4]>(sums[(m * 4 + n) * 4]), of_rows[m], pair);
        }
      }
    }
  }

  const LinearCall& call_;
  std::byte* shared_;
  int first_row_, first_output_;
  int loaded_ = 0;  // spans in shared memory or on their way
};

__global__ void __launch_bounds__(kThreads, 2) many_rows_kernel(LinearCall call) {
  let_successor_start();
  wait_for_predecessor();
  Tile tile(call, dynamic_shared());
  auto* masks = reinterpret_cast<uint32_t*>(dynamic_shared() + kStages * kStageBytes);
  int32_t sums[kSums];
  TileMemory<kSums> memory;
  for (int root = 0; root < call.num_roots; ++root) {
    const int first_leaf = call.first_leaf[root], end_leaf = call.first_leaf[root + 1];
    for (int leaf = first_leaf; leaf < end_leaf; ++leaf) {
      SpanList spans{call.place[leaf] / kSpan, call.place[leaf + 1] / kSpan};
      clear(sums);
      tile.multiply(call.low, spans, sums);
      bool with_high = false;
      if (call.mixed) with_high = spans.keep_those_with_outliers(call, tile.first_row(), masks);
      if (with_high) {
        memory.keep_low(sums);
        clear(sums);
        tile.multiply(call.high, spans, sums);
      }
      const int32_t* lows = memory.low();
      leaf_values<0, kSums>(
          call, leaf, with_high, [&](int i) { return with_high ? lows[i] : sums[i]; },
          [&](int i) { return sums[i]; }, sums, tile.chunks());
      memory.fold(leaf - first_leaf, end_leaf - first_leaf, sums);
    }
    store_root(call, root, sums, tile.chunks());
  }
}

void run(const LinearCall& call, cudaStream_t stream) {
  const dim3 grid((call.n + kRows - 1) / kRows, (call.rows + kOutputs - 1) / kOutputs);
  launch(many_rows_kernel, grid, dim3(kThreads),
         kStages * kStageBytes + (kMaxLeafSpans / 32 + 1) * sizeof(uint32_t), stream, call);
}

}  // namespace

const LinearKernel kManyRows{"many rows", [](const LinearCall&) { return true; }, run};

}  // namespace octet::cuda
