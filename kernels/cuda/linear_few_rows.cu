// kFewRows: 1 to 64 rows where kStreamed does not serve. The weights pass once from memory through
// a ring of shared memory, as fast as it gives them; everything else hides behind that.
//
// A tile is kOutputs packed outputs for all rows; its columns are cut into parts (never across a
// leaf), and a block of threads takes the items (tile, part) blockIdx.x, + gridDim.x, ... In a
// part, each group of warps takes one span of 64 columns at a time (a step is one span a group).
// Integer sums of the groups meet in shared memory, those of the parts in global memory, where the
// last block to come finishes the tile. None of it can change a bit: the sums are exact, and
// epilogue.cuh makes the floats.
#include <algorithm>

#include "kernels/cuda/epilogue.cuh"
#include "kernels/cuda/linear_kernels.h"
#include "kernels/cuda/occupancy.h"

namespace octet::cuda {
namespace {

constexpr int kMaxParts = 64;
constexpr int kMaxRows = 64;
constexpr int kThreads = 256;
constexpr int kWarps = kThreads / 32;
constexpr int kMaxTile = 128;  // outputs

struct Parts {
  int count = 0;
  int items = 0;
  struct Part {
    short leaf, first_span, spans;
  } part[kMaxParts];
};

// kRowTiles: eights of rows; kOutTiles: sixteens of outputs of a warp; kOutWarps: warps side by
// side in a group.
template <int kRowTiles_, int kOutTiles_, int kOutWarps_, int kStages_>
struct Shape {
  static constexpr int kRowTiles = kRowTiles_, kOutTiles = kOutTiles_, kOutWarps = kOutWarps_;
  static constexpr int kStages = kStages_;
  static constexpr int kGroups = kWarps / kOutWarps;
  static constexpr int kBlocks = kOutTiles > 2 ? 1 : 2;  // on a multiprocessor
  static constexpr int kRows = 8 * kRowTiles, kOutputs = 16 * kOutTiles * kOutWarps;
  static constexpr int kWeightBytes = kGroups * kOutputs * kSpan;  // of a stage
  static constexpr int kInputBytes = kGroups * kRows * kSpan;
  static constexpr int kStageBytes = kWeightBytes + kInputBytes;
  static constexpr int kPitch = kOutputs + 4;  // of sums; keeps lanes on different banks
  static constexpr int kSums = kRows * kPitch;
  static constexpr int kFlags = kMaxInt8Columns / kSpan;  // one a span of the widest leaf
  // Few rows leave registers for the high digits' products beside those of the low.
  static constexpr bool kBothDigits = kRowTiles <= 2;
  static constexpr int kSharedBytes =
      kStages * kStageBytes + 2 * kSums * static_cast<int>(sizeof(int)) + kFlags + 16;
  static_assert(kMaxTile % kOutputs == 0 && kRows <= kMaxRows);
};

// Where a block is in its list of items.
struct Cursor {
  int item, step;
};

template <typename S>
class Block {
 public:
  __device__ Block(const LinearCall& call, const Parts& parts)
      : call_(call),
        parts_(parts),
        stages_(dynamic_shared()),
        sums_(reinterpret_cast<int*>(stages_ + S::kStages * S::kStageBytes)),
        flags_(reinterpret_cast<unsigned char*>(sums_ + 2 * S::kSums)),
        last_(reinterpret_cast<int*>(flags_ + S::kFlags)),
        warp_(threadIdx.x / 32),
        lane_(threadIdx.x % 32),
        group_(warp_ / S::kOutWarps) {}

  __device__ void run() {
    Cursor loading{static_cast<int>(blockIdx.x), 0};
    Cursor start = loading;
#pragma unroll 1
    for (int s = 0; s < S::kStages - 1; ++s) {
      load_weights(loading, s);
      advance(loading);
    }
    wait_for_predecessor();
    for (int i = threadIdx.x; i < 2 * S::kSums; i += kThreads) sums_[i] = 0;
    __syncthreads();
    loading = start;
#pragma unroll 1
    for (int s = 0; s < S::kStages - 1; ++s) {
      load_inputs(loading, s);
      commit_copies();
      advance(loading);
    }
    int stage = 0;
    for (int item = blockIdx.x; item < parts_.items; item += gridDim.x) {
      const Parts::Part part = parts_.part[item % parts_.count];
      const int tile = item / parts_.count;
      if (call_.mixed) {
        find_outliers(part);
        if constexpr (!S::kBothDigits) add_high_digits(tile, part);
      }
      clear(products_);
      if constexpr (S::kBothDigits) clear(high_products_);
      for (int step = 0; step < steps(part); ++step) {
        wait_copies<S::kStages - 2>();
        __syncthreads();
        const int next = stage == 0 ? S::kStages - 1 : stage - 1;
        load_weights(loading, next);
        load_inputs(loading, next);
        commit_copies();
        advance(loading);
        const int span = step * S::kGroups + group_;
        if (span < part.spans) multiply(stage, part.first_span + span, flags_[span] != 0);
        stage = stage + 1 == S::kStages ? 0 : stage + 1;
      }
      add_sums(products_, sums_);
      if constexpr (S::kBothDigits) {
        if (call_.mixed) add_sums(high_products_, sums_ + S::kSums);
      }
      __syncthreads();
      if (parts_.count == 1) {
        finish(tile, [&](int row, int output, int, int high) {
          return sums_[high * S::kSums + row * S::kPitch + output];
        });
      } else if (meet_parts(tile, part.leaf)) {
        finish(tile, [&](int row, int output, int leaf, int high) {
          return __ldcg(place_in_global(tile, leaf, high) + row * S::kOutputs + output);
        });
        clear_global(tile);
      }
      __syncthreads();
      for (int i = threadIdx.x; i < 2 * S::kSums; i += kThreads) sums_[i] = 0;
      __syncthreads();
    }
    wait_copies<0>();
  }

 private:
  static __device__ int steps(const Parts::Part& part) {
    return max(1, (part.spans + S::kGroups - 1) / S::kGroups);  // as cut() counts them
  }

  __device__ void advance(Cursor& cursor) const {
    if (cursor.item >= parts_.items) return;
    if (++cursor.step < steps(parts_.part[cursor.item % parts_.count])) return;
    cursor = {cursor.item + static_cast<int>(gridDim.x), 0};
  }

  __device__ void load_weights(const Cursor& cursor, int stage) {
    if (cursor.item >= parts_.items) return;
    const Parts::Part& part = parts_.part[cursor.item % parts_.count];
    const int tile = cursor.item / parts_.count, first = cursor.step * S::kGroups;
    std::byte* to = stages_ + stage * S::kStageBytes;
    constexpr int kChunks = S::kOutputs * kSpan / 16;  // of a span
#pragma unroll
    for (int i = threadIdx.x; i < S::kGroups * kChunks; i += kThreads) {
      const int group = i / kChunks, chunk = i % kChunks;
      if (first + group >= part.spans) continue;
      const int64_t row =
          int64_t{part.first_span + first + group} * call_.padded_rows + tile * S::kOutputs;
      copy_async16(to + i * 16, call_.weight + row * kSpan + chunk * 16);
    }
  }

  __device__ void load_inputs(const Cursor& cursor, int stage) {
    if (cursor.item >= parts_.items) return;
    const Parts::Part& part = parts_.part[cursor.item % parts_.count];
    const int first = cursor.step * S::kGroups;
    std::byte* to = stages_ + stage * S::kStageBytes + S::kWeightBytes;
#pragma unroll
    for (int i = threadIdx.x; i < S::kInputBytes / 16; i += kThreads) {
      const int group = i / (S::kRows * 4), row = i / 4 % S::kRows, chunk = i % 4;
      if (first + group >= part.spans) continue;
      const bool here = row < call_.n;
      const int64_t column = int64_t{part.first_span + first + group} * kSpan + chunk * 16;
      copy_async16(to + i * 16, call_.low + (here ? int64_t{row} * call_.padded_in : 0) + column,
                   here ? 16 : 0);
    }
  }

  using Products = int32_t[S::kOutTiles][S::kRowTiles][4];

  static __device__ void clear(Products& products) {
#pragma unroll
    for (auto& tile : products) {
#pragma unroll
      for (auto& product : tile) {
#pragma unroll
        for (int& value : product) value = 0;
      }
    }
  }

  // Products of 16 outputs a tile and 64 columns. The order of columns inside is the same for both
  // operands, and else free: lane 4g + t has bytes 16t.. of rows g and g + 8 of the weights and of
  // row g of the input.
  template <typename Weights, typename Inputs>
  static __device__ void multiply_span(Products& products, const Weights& weights,
                                       const Inputs& inputs) {
    uint4 a[S::kOutTiles][2];
#pragma unroll
    for (int m = 0; m < S::kOutTiles; ++m) {
      a[m][0] = weights(16 * m);
      a[m][1] = weights(16 * m + 8);
    }
#pragma unroll
    for (int r = 0; r < S::kRowTiles; ++r) {
      const uint4 b = inputs(8 * r);
      const uint32_t first[2] = {b.x, b.y}, second[2] = {b.z, b.w};
#pragma unroll
      for (int m = 0; m < S::kOutTiles; ++m) {
        mma_s8(products[m][r], {a[m][0].x, a[m][1].x, a[m][0].y, a[m][1].y}, first);
        mma_s8(products[m][r], {a[m][0].z, a[m][1].z, a[m][0].w, a[m][1].w}, second);
      }
    }
  }

  // outliers: a row of the call has one in this span.
  __device__ void multiply(int stage, int span, bool outliers) {
    const std::byte* from =
        stages_ + stage * S::kStageBytes +
        (group_ * S::kOutputs + warp_ % S::kOutWarps * 16 * S::kOutTiles) * kSpan;
    const std::byte* inputs =
        stages_ + stage * S::kStageBytes + S::kWeightBytes + group_ * S::kRows * kSpan;
    const int g = lane_ / 4, t = lane_ % 4, swizzled = t ^ g / 2 % 4;
    const auto weights = [&](int row) {
      return *reinterpret_cast<const uint4*>(from + (row + g) * kSpan + swizzled * 16);
    };
    multiply_span(products_, weights, [&](int row) {
      return *reinterpret_cast<const uint4*>(inputs + (row + g) * kSpan + t * 16);
    });
    if constexpr (S::kBothDigits) {
      if (call_.mixed && outliers) {
        multiply_span(high_products_, weights, [&](int row) { return high_digits(row, span); });
      }
    }
  }

  // What this lane needs of the high digits of rows [row, row + 8) in a span.
  __device__ uint4 high_digits(int row, int span) const {
    const int g = lane_ / 4, t = lane_ % 4;
    if (row + g >= call_.n) return {0, 0, 0, 0};
    return *reinterpret_cast<const uint4*>(call_.high + int64_t{row + g} * call_.padded_in +
                                           int64_t{span} * kSpan + t * 16);
  }

  // Flags the part's spans in which a row of the call has an outlier.
  __device__ void find_outliers(const Parts::Part& part) {
    for (int i = threadIdx.x; i < part.spans; i += kThreads) flags_[i] = 0;
    __syncthreads();
    const int64_t stride = span_stride(call_.padded_in);
#pragma unroll 4
    for (int i = threadIdx.x; i < part.spans * call_.n; i += kThreads) {
      const int row = i / part.spans, span = i % part.spans;
      if (call_.spans[row * stride + part.first_span + span] != 0) flags_[span] = 1;
    }
    __syncthreads();
  }

  // The high digits' products into the second half of sums_, over the flagged spans only: a pass of
  // its own, before that of the low digits.
  __device__ void add_high_digits(int tile, const Parts::Part& part) {
    clear(products_);
    bool any = false;
    const int g = lane_ / 4, t = lane_ % 4, swizzled = t ^ g / 2 % 4;
    for (int i = group_; i < part.spans; i += S::kGroups) {
      if (flags_[i] == 0) continue;
      any = true;
      const int span = part.first_span + i;
      const int64_t output = int64_t{span} * call_.padded_rows + tile * S::kOutputs +
                             warp_ % S::kOutWarps * 16 * S::kOutTiles + g;
      multiply_span(
          products_,
          [&](int row) {
            return *reinterpret_cast<const uint4*>(call_.weight + (output + row) * kSpan +
                                                   swizzled * 16);
          },
          [&](int row) { return high_digits(row, span); });
    }
    if (any) add_sums(products_, sums_ + S::kSums);
  }

  __device__ void add_sums(const Products& products, int* sums) const {
    const int g = lane_ / 4, t = lane_ % 4;
    const int output = warp_ % S::kOutWarps * 16 * S::kOutTiles + g;
#pragma unroll
    for (int m = 0; m < S::kOutTiles; ++m) {
#pragma unroll
      for (int r = 0; r < S::kRowTiles; ++r) {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          const int row = 8 * r + 2 * t + i % 2;
          atomicAdd(sums + row * S::kPitch + output + 16 * m + i / 2 * 8, products[m][r][i]);
        }
      }
    }
  }

  // [leaves][low, high][kRows][kOutputs] of a tile.
  __device__ int* place_in_global(int tile, int leaf, int high) const {
    const int64_t at = (int64_t{tile} * call_.num_leaves + leaf) * 2 + high;
    return call_.sums + at * S::kRows * S::kOutputs;
  }

  // Adds this part's sums to the tile's; true for the block that brings the last part.
  __device__ bool meet_parts(int tile, int leaf) {
    for (int high = 0; high <= static_cast<int>(call_.mixed); ++high) {
      int* to = place_in_global(tile, leaf, high);
#pragma unroll 1
      for (int i = threadIdx.x; i < call_.n * S::kOutputs; i += kThreads) {
        const int row = i / S::kOutputs, output = i % S::kOutputs;
        const int sum = sums_[high * S::kSums + row * S::kPitch + output];
        if (sum != 0) atomicAdd(to + i, sum);
      }
    }
    __threadfence();
    __syncthreads();
    if (threadIdx.x == 0) {
      *last_ = atomicAdd(call_.arrivals + tile, 1u) + 1 == static_cast<unsigned>(parts_.count);
    }
    __syncthreads();
    if (*last_ != 0) __threadfence();
    return *last_ != 0;
  }

  __device__ void clear_global(int tile) {
    __syncthreads();
    for (int leaf = 0; leaf < call_.num_leaves; ++leaf) {
      for (int high = 0; high <= static_cast<int>(call_.mixed); ++high) {
        int* to = place_in_global(tile, leaf, high);
#pragma unroll 1
        for (int i = threadIdx.x; i < call_.n * S::kOutputs; i += kThreads) to[i] = 0;
      }
    }
    if (threadIdx.x == 0) call_.arrivals[tile] = 0;
  }

  // sum(row, output of the tile, leaf, high).
  template <typename Sum>
  __device__ void finish(int tile, const Sum& sum) {
    const bool gated = call_.activation == Activation::kSiluGate;
    const int columns = gated ? S::kOutputs / 2 : S::kOutputs;
#pragma unroll 1
    for (int i = threadIdx.x; i < columns * call_.n * call_.num_roots; i += kThreads) {
      const int column = i % columns, row = i / columns % call_.n, root = i / columns / call_.n;
      const int local = gated ? 2 * column : column, output = tile * S::kOutputs + local;
      if (output >= call_.rows) continue;
      const auto value = [&](int of) {
        return root_value(
            call_, row, tile * S::kOutputs + of, root,
            [&](int leaf) { return sum(row, of, leaf, 0); },
            [&](int leaf) { return sum(row, of, leaf, 1); });
      };
      *result_place(call_, row, output, root) =
          activate(call_.activation, value(local), gated ? value(local + 1) : 0.0f);
    }
  }

  const LinearCall& call_;
  const Parts& parts_;
  std::byte* stages_;
  int* sums_;
  unsigned char* flags_;
  int* last_;
  int warp_, lane_, group_;
  Products products_, high_products_;  // the latter with kBothDigits only
};

template <typename S>
__global__ void __launch_bounds__(kThreads, S::kBlocks)
    few_rows_kernel(const __grid_constant__ LinearCall call, const __grid_constant__ Parts parts) {
  let_successor_start();
  Block<S>(call, parts).run();
}

int spans_of(const LinearCall& call, int leaf) {
  return (call.place[leaf + 1] - call.place[leaf]) / kSpan;
}

// Cuts each leaf's spans into `pieces` parts of whole steps; a leaf without columns has one.
Parts cut(const LinearCall& call, int tiles, int pieces, int groups) {
  Parts parts;
  for (int leaf = 0; leaf < call.num_leaves; ++leaf) {
    const int spans = spans_of(call, leaf), first = call.place[leaf] / kSpan;
    const int steps = (spans + groups - 1) / groups;
    const int length = std::max(1, (steps + pieces - 1) / pieces) * groups;
    int at = 0;
    do {
      parts.part[parts.count++] = {static_cast<short>(leaf), static_cast<short>(first + at),
                                   static_cast<short>(std::min(length, spans - at))};
      at += length;
    } while (at < spans);
  }
  parts.items = tiles * parts.count;
  return parts;
}

// The fewest parts that keep all blocks at work nearly to the end.
Parts best_cut(const LinearCall& call, int tiles, int blocks, int groups) {
  Parts best;
  double best_share = -1;
  for (int pieces = 1; pieces <= 8 && pieces * call.num_leaves <= kMaxParts; ++pieces) {
    const Parts parts = cut(call, tiles, pieces, groups);
    const int rounds = (parts.items + blocks - 1) / blocks;
    const double share = static_cast<double>(parts.items) / (static_cast<double>(rounds) * blocks);
    if (share > best_share + 0.05) {
      best = parts;
      best_share = share;
    }
  }
  return best;
}

template <typename S>
void run_shape(const LinearCall& call, cudaStream_t stream) {
  static const int blocks = resident_blocks(few_rows_kernel<S>, kThreads, S::kSharedBytes);
  const int tiles = (call.rows + S::kOutputs - 1) / S::kOutputs;
  const Parts parts = best_cut(call, tiles, blocks, S::kGroups);
  launch(few_rows_kernel<S>, dim3(std::min(parts.items, blocks)), dim3(kThreads), S::kSharedBytes,
         stream, call, parts);
}

void run(const LinearCall& call, cudaStream_t stream) {
  if (call.n <= 8) return run_shape<Shape<1, 2, 1, 4>>(call, stream);
  if (call.n <= 16) return run_shape<Shape<2, 2, 1, 4>>(call, stream);
  if (call.n <= 32) return run_shape<Shape<4, 2, 2, 4>>(call, stream);
  run_shape<Shape<8, 4, 2, 3>>(call, stream);
}

bool accepts(const LinearCall& call) { return call.n <= kMaxRows && call.num_leaves > 0; }

}  // namespace

const LinearKernel kFewRows{"few rows", accepts, run};

int64_t few_rows_sums(const LinearCall& shape) {
  return int64_t{shape.padded_rows} * shape.num_leaves * 2 * kMaxRows;
}

int64_t few_rows_arrivals(const LinearCall& shape) { return shape.padded_rows / 16; }

}  // namespace octet::cuda
