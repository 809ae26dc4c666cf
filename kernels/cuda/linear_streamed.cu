// kStreamed: 1 to 64 rows on compute capability 9.0. The weights pass once from memory through a
// ring of shared memory, as fast as it gives them; everything else hides behind that.
//
// A unit is one span of 64 columns of a tile of outputs. Units are numbered tile after tile, and
// each block takes one even piece of them: it begins and ends inside of a tile at most. One warp
// copies units and their rows into the ring; two warp groups multiply them from there, weights as
// the 64-row operand. Where blocks share a tile, or a tile has several leaves, integer sums meet in
// global memory, and the group that brings the last makes the floats. None of it can change a bit:
// the sums are exact, and epilogue.cuh makes the floats.
//
// The memory never rests: a block lets its successor start when it has asked for its last weights,
// and asks for its own first ones, into its ring and behind it into L2, before the kernel in front
// has ended. So two blocks fit a multiprocessor.
#include <algorithm>

#include "kernels/cuda/linear_kernels.h"
#include "kernels/cuda/many_rows.cuh"
#include "kernels/cuda/occupancy.h"

namespace octet::cuda {
namespace {

constexpr int kMostRows = 64;
constexpr int kGroups = 2;  // warp groups that multiply
constexpr int kMultipliers = 128 * kGroups, kThreads = kMultipliers + 32;
constexpr int kRingBytes = 92 * 1024;
constexpr int kUnitsAhead = 20;  // to L2, behind the ring
constexpr int kOutputs = 64 * kGroups, kWeightBytes = kOutputs * kSpan;
constexpr int kFlagWords = kMaxShards * kMaxLeafSpans / 32;

// Of one row and leaf.
struct RowLeaf {
  float scale;
  int outliers;
};

// kRows: of the call, rounded up.
template <int kRows_, bool kMixed_>
struct Shape {
  static constexpr int kRows = kRows_;
  static constexpr bool kMixed = kMixed_;
  static constexpr int kBlocks = kRows == 64 ? 1 : 2;  // on a multiprocessor
  static constexpr int kInputBytes = kRows * kSpan;    // of one digit
  static constexpr int kStageBytes = kWeightBytes + (kMixed ? 2 : 1) * kInputBytes;
  static constexpr int kStages = kRingBytes / kStageBytes;
  static constexpr int kBarriers = kStages * kStageBytes, kFlags = kBarriers + 16 * kStages;
  static constexpr int kLast = kFlags + (kMixed ? 4 * kFlagWords : 0);
  static constexpr int kRowLeaves = kLast + 4 * kGroups;

  static size_t shared_bytes(const LinearCall& call) {
    return kRowLeaves + static_cast<size_t>(call.n) * call.num_leaves * sizeof(RowLeaf);
  }
};

struct Unit {
  int tile, span;

  __device__ void advance(int spans) {
    if (++span < spans) return;
    span = 0;
    ++tile;
  }
};

__host__ __device__ inline int units_of(const LinearCall& call) {
  return call.padded_rows / kOutputs * (call.padded_in / kSpan);
}

template <typename S>
class Block {
 public:
  __device__ explicit Block(const LinearCall& call) : call_(call), spans_(call.padded_in / kSpan) {
    const int64_t units = units_of(call), blocks = gridDim.x, block = blockIdx.x;
    const int begin = static_cast<int>(units * block / blocks);
    count_ = static_cast<int>(units * (block + 1) / blocks) - begin;
    first_ = {begin / spans_, begin % spans_};
  }

  __device__ void prepare() const {
    for (int i = 0; i < S::kStages; ++i) {
      barrier_init(full(i), 1);
      barrier_init(empty(i), kMultipliers / 32);
    }
    barrier_init_fence();
  }

  // What the last warp does.
  __device__ void copy(const TileMap& low, const TileMap& high) {
    const bool leader = threadIdx.x % 32 == 0;
    const int in_ring = min(S::kStages, count_);
    Unit unit = first_;
    if (leader) {
      for (int i = 0; i < min(in_ring + kUnitsAhead, count_); ++i, unit.advance(spans_)) {
        if (i < in_ring) {
          barrier_expect(full(i), kWeightBytes);
          copy_weights(unit, i);
        } else {
          prefetch_bulk(weights_of(unit), kWeightBytes);
        }
      }
    }
    wait_for_predecessor();
    unit = first_;
    for (int i = 0; leader && i < in_ring; ++i, unit.advance(spans_)) {
      if constexpr (S::kMixed) {
        barrier_expect(full(i), S::kInputBytes);
      } else {
        barrier_arrive_expecting(full(i), S::kInputBytes);
      }
      copy_inputs(low, unit, i);
    }
    if constexpr (S::kMixed) {
      __syncwarp();
      sync_threads(1, kThreads);  // the flags are there
      unit = first_;
      for (int i = 0; leader && i < in_ring; ++i, unit.advance(spans_)) {
        const bool with_high = flagged(unit.span);
        barrier_arrive_expecting(full(i), with_high ? S::kInputBytes : 0);
        if (with_high) copy_high(high, unit, i);
      }
    }
    if (!leader) return;
    int stage = 0, parity = 0;
    for (int i = in_ring; i < count_; ++i, unit.advance(spans_)) {
      barrier_wait(empty(stage), parity);
      const bool with_high = S::kMixed && flagged(unit.span);
      barrier_arrive_expecting(full(stage), kWeightBytes + (with_high ? 2 : 1) * S::kInputBytes);
      copy_weights(unit, stage);
      copy_inputs(low, unit, stage);
      if (with_high) copy_high(high, unit, stage);
      advance(stage, parity);
    }
    let_successor_start();
  }

  // What the warp groups do.
  __device__ void multiply() {
    wait_for_predecessor();
    load_row_leaves();
    if constexpr (S::kMixed) find_outliers();
    sync_threads(2, kMultipliers);
    int stage = 0, parity = 0, tile = first_.tile, first = first_.span;
    for (int left = count_; left > 0; ++tile, first = 0) {
      const int end = min(spans_, first + left);
      left -= end - first;
      load_output_values(tile);
      const bool alone = first == 0 && end == spans_ && call_.num_leaves == 1;
      for (int leaf = 0, span = first; span < end; ++leaf) {
        const int leaf_end = min(end, call_.place[leaf + 1] / kSpan);
        if (span >= leaf_end) continue;
        clear_all();
        const bool with_high = take(span, leaf_end, stage, parity);
        if (!alone) add_to_tile(tile, leaf, with_high);
        span = leaf_end;
      }
      if (alone) {
        to_values(0);
        store(tile, 0);
      } else if (last_to_come(tile, end - first)) {
        finish_shared(tile);
      }
    }
  }

 private:
  __device__ std::byte* weights(int stage) const {
    return dynamic_shared() + stage * S::kStageBytes;
  }
  __device__ std::byte* inputs(int stage) const { return weights(stage) + kWeightBytes; }
  __device__ uint64_t* full(int i) const {
    return reinterpret_cast<uint64_t*>(dynamic_shared() + S::kBarriers) + i;
  }
  __device__ uint64_t* empty(int i) const { return full(S::kStages + i); }
  __device__ unsigned* flags() const {
    return reinterpret_cast<unsigned*>(dynamic_shared() + S::kFlags);
  }
  __device__ bool flagged(int span) const { return (flags()[span / 32] >> span % 32 & 1) != 0; }

  static __device__ void advance(int& stage, int& parity) {
    if (++stage < S::kStages) return;
    stage = 0;
    parity ^= 1;
  }

  __device__ const int8_t* weights_of(const Unit& unit) const {
    return call_.weight + (int64_t{unit.span} * call_.padded_rows + unit.tile * kOutputs) * kSpan;
  }
  __device__ void copy_weights(const Unit& unit, int stage) const {
    copy_bulk(weights(stage), weights_of(unit), kWeightBytes, full(stage));
  }
  __device__ void copy_inputs(const TileMap& low, const Unit& unit, int stage) const {
    copy_tile(inputs(stage), low, 0, unit.span * kSpan, full(stage));
  }
  __device__ void copy_high(const TileMap& high, const Unit& unit, int stage) const {
    copy_tile(inputs(stage) + S::kInputBytes, high, 0, unit.span * kSpan, full(stage));
  }

  // Flags the spans in which a row of the call has an outlier.
  __device__ void find_outliers() const {
    const int words = (spans_ + 31) / 32,
              pieces = static_cast<int>(span_stride(call_.padded_in) / 16);
    for (int i = threadIdx.x; i < words; i += kMultipliers) flags()[i] = 0;
    sync_threads(2, kMultipliers);
    const auto* from = reinterpret_cast<const uint4*>(call_.spans);
#pragma unroll 4
    for (int i = threadIdx.x; i < pieces * call_.n; i += kMultipliers) {
      const uint4 piece = from[i];
      if ((piece.x | piece.y | piece.z | piece.w) == 0) continue;
      const uint32_t parts[4] = {piece.x, piece.y, piece.z, piece.w};
      const int first = i % pieces * 16;
#pragma unroll
      for (int k = 0; k < 16; ++k) {
        const int span = first + k;
        if ((parts[k / 4] >> k % 4 * 8 & 0xff) != 0 && span < spans_) {
          atomicOr(flags() + span / 32, 1u << span % 32);
        }
      }
    }
    sync_threads(1, kThreads);
  }

  // Row scales and counts of outliers, for the end of a tile.
  __device__ RowLeaf* row_leaves() const {
    return reinterpret_cast<RowLeaf*>(dynamic_shared() + S::kRowLeaves);
  }
  __device__ void load_row_leaves() const {
    for (int i = threadIdx.x; i < call_.n * call_.num_leaves; i += kMultipliers) {
      row_leaves()[i] = {call_.row_scales[i], S::kMixed ? call_.outliers[i] : 0};
    }
  }

  using Sums = int32_t[S::kRows / 2];  // as warp_group_mma_s8 leaves them

  __device__ void clear_all() {
    clear(low_);
    if constexpr (S::kMixed) clear(high_);
  }

  __device__ void fence_all() {
    fence_sums(low_);
    if constexpr (S::kMixed) fence_sums(high_);
  }

  static __device__ void multiply_span(Sums& sums, const std::byte* weights,
                                       const std::byte* inputs) {
#pragma unroll
    for (int k = 0; k < kSpan; k += 32) {
      warp_group_mma_s8<S::kRows>(sums, matrix_descriptor(weights + k),
                                  matrix_descriptor(inputs + k));
    }
  }

  // Adds the products of spans [span, end), which come through the ring. Were there high digits?
  __device__ bool take(int span, int end, int& stage, int& parity) {
    bool with_high = false;
    int before = -1;
    const auto release = [&] {
      if (before >= 0 && threadIdx.x % 32 == 0) barrier_arrive(empty(before));
    };
    fence_all();
    for (; span < end; ++span) {
      barrier_wait(full(stage), parity);
      const std::byte* mine = weights(stage) + group() * 64 * kSpan;
      warp_group_fence();
      multiply_span(low_, mine, inputs(stage));
      if constexpr (S::kMixed) {
        if (__shfl_sync(0xffffffffu, flagged(span), 0)) {  // seen to be uniform
          warp_group_fence();
          multiply_span(high_, mine, inputs(stage) + S::kInputBytes);
          with_high = true;
        }
      }
      commit_products();
      wait_products<1>();
      release();
      before = stage;
      advance(stage, parity);
    }
    wait_products<0>();
    fence_all();
    release();
    return with_high;
  }

  static __device__ int group() { return static_cast<int>(threadIdx.x) / 128; }
  static __device__ int lane() { return static_cast<int>(threadIdx.x) % 32; }

  // The first packed output of this thread in a tile; the other one is 8 behind.
  __device__ int output(int tile) const {
    return tile * kOutputs + static_cast<int>(threadIdx.x) / 32 * 16 + lane() / 4;
  }
  // Element i of the sums is of this row, and of the second output where i / 2 is odd.
  static __device__ int row_of(int i) { return i / 4 * 8 + lane() % 4 * 2 + i % 2; }

  // [leaf][low, high][row][output] of a group's part of a tile.
  __device__ int32_t* shared_sums(int tile, int leaf, int high) const {
    const int64_t part = int64_t{tile} * kGroups + group();
    return call_.sums + ((part * call_.num_leaves + leaf) * 2 + high) * S::kRows * 64;
  }

  // f(sum, its place among shared sums) of those that are rows of the call.
  template <typename F>
  __device__ void each(Sums& sums, const F& f) const {
    const int first = static_cast<int>(threadIdx.x) % 128 / 32 * 16 + lane() / 4;
#pragma unroll
    for (int i = 0; i < S::kRows / 2; ++i) {
      if (row_of(i) < call_.n) f(sums[i], row_of(i) * 64 + first + i / 2 % 2 * 8);
    }
  }

  __device__ void add_to_tile(int tile, int leaf, bool with_high) {
    int32_t* to = shared_sums(tile, leaf, 0);
    each(low_, [&](int32_t sum, int at) { atomicAdd(to + at, sum); });
    if constexpr (S::kMixed) {
      if (!with_high) return;
      int32_t* high_to = shared_sums(tile, leaf, 1);
      each(high_, [&](int32_t sum, int at) { atomicAdd(high_to + at, sum); });
    }
  }

  // Are with these `spans` all of the tile there?
  __device__ bool last_to_come(int tile, int spans) const {
    int* last = reinterpret_cast<int*>(dynamic_shared() + S::kLast) + group();
    const auto meet = [&] { sync_threads(3 + group(), 128); };
    meet();
    if (threadIdx.x % 128 == 0) {
      unsigned* arrivals = call_.arrivals + tile * kGroups + group();
      __threadfence();
      *last = atomicAdd(arrivals, static_cast<unsigned>(spans)) + spans ==
              static_cast<unsigned>(spans_);
      if (*last != 0) {
        *arrivals = 0;
        __threadfence();
      }
    }
    meet();
    return *last != 0;
  }

  // The tile's sums from global memory, which is zero again afterwards.
  __device__ void finish_shared(int tile) {
    TileMemory<S::kRows / 2> memory;
    for (int root = 0; root < call_.num_roots; ++root) {
      const int first = call_.first_leaf[root], end = call_.first_leaf[root + 1];
      for (int leaf = first; leaf < end; ++leaf) {
        clear_all();
        fetch(low_, shared_sums(tile, leaf, 0));
        if constexpr (S::kMixed) fetch(high_, shared_sums(tile, leaf, 1));
        to_values(leaf);
        memory.fold(leaf - first, end - first, low_);
      }
      store(tile, root);
    }
  }
  __device__ void fetch(Sums& sums, int32_t* from) {
    each(sums, [&](int32_t& sum, int at) { sum = __ldcg(from + at); });
    each(sums, [&](int32_t, int at) { from[at] = 0; });
  }

  // The sums of one leaf become its values, in place.
  __device__ void to_values(int leaf) {
#pragma unroll
    for (int i = 0; i < S::kRows / 2; ++i) {
      if (row_of(i) >= call_.n) continue;
      const RowLeaf row = row_leaves()[row_of(i) * call_.num_leaves + leaf];
      int high = 0;
      if constexpr (S::kMixed) high = high_[i];
      low_[i] =
          __float_as_int(leaf_value(low_[i], high, row.outliers, row.scale, scales_[i / 2 % 2]));
    }
  }

  __device__ void load_output_values(int tile) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      scales_[half] = call_.scales[output(tile) + 8 * half];
      biases_[half] = call_.bias == nullptr ? 0.0f : call_.bias[output(tile) + 8 * half];
    }
  }

  // Bias, activation, and the values that are not padding to where they belong. One eight of rows
  // after the other passes through the first registers. Destroys the values.
  __device__ void store(int tile, int root) {
    const bool gated = call_.activation == Activation::kSiluGate;
#pragma unroll 1
    for (int j = 0; j < S::kRows / 8; ++j) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int to = output(tile) + i / 2 * 8, row = 8 * j + row_of(i);
        const float value = __int_as_float(low_[i]) + biases_[i / 2];
        float up = 0;
        if (gated) up = __shfl_xor_sync(0xffffffffu, value, 4);
        if (row < call_.n && to < call_.rows && !(gated && to % 2 != 0)) {
          *result_place(call_, row, to, root) = activate(call_.activation, value, up);
        }
      }
#pragma unroll
      for (int i = 0; i + 4 < S::kRows / 2; ++i) low_[i] = low_[i + 4];
    }
  }

  const LinearCall& call_;
  const int spans_;
  Unit first_;  // of this block
  int count_;
  Sums low_, high_;  // the latter with kMixed only
  float scales_[2], biases_[2];
};

template <typename S>
__global__ void __launch_bounds__(kThreads, S::kBlocks)
    streamed_kernel(const __grid_constant__ LinearCall call, const __grid_constant__ TileMap low,
                    const __grid_constant__ TileMap high) {
  Block<S> block(call);
  if (threadIdx.x == 0) block.prepare();
  __syncthreads();
  if (threadIdx.x < kMultipliers) {
    block.multiply();
  } else {
    block.copy(low, high);
  }
}

template <typename S>
void run_shape(const LinearCall& call, cudaStream_t stream) {
  const int blocks = std::min(units_of(call), device_attribute(cudaDevAttrMultiProcessorCount));
  const TileMap low = map_tiles(call.low, call.n, call.padded_in, S::kRows);
  const TileMap high = S::kMixed ? map_tiles(call.high, call.n, call.padded_in, S::kRows) : low;
  launch(streamed_kernel<S>, dim3(blocks), dim3(kThreads), S::shared_bytes(call), stream, call, low,
         high);
}

template <bool kMixed>
void run_rows(const LinearCall& call, cudaStream_t stream) {
  if (call.n <= 8) return run_shape<Shape<8, kMixed>>(call, stream);
  if (call.n <= 16) return run_shape<Shape<16, kMixed>>(call, stream);
  if (call.n <= 32) return run_shape<Shape<32, kMixed>>(call, stream);
  run_shape<Shape<64, kMixed>>(call, stream);
}

void run(const LinearCall& call, cudaStream_t stream) {
  call.mixed ? run_rows<true>(call, stream) : run_rows<false>(call, stream);
}

bool accepts(const LinearCall& call) {
  return call.n <= kMostRows && call.padded_in > 0 &&
         device_attribute(cudaDevAttrComputeCapabilityMajor) == 9;
}

}  // namespace

const LinearKernel kStreamed{"streamed", accepts, run};

}  // namespace octet::cuda
