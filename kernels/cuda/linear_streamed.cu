// kStreamed: 1 to 64 rows on compute capability 9.0. The weights pass once from memory through a
// ring of shared memory, as fast as it gives them; everything else hides behind that.
//
// A unit is one span of 64 columns of a tile of outputs. Units are numbered tile after tile, and
// each block takes one even piece of them: it begins and ends inside of a tile at most. One warp
// copies units and their rows into the ring; it asks for the weights of the first units before the
// kernel in front of this one has ended. Two warp groups multiply them from there, weights as the
// 64-row operand. Where blocks share a tile, or a tile has several leaves, integer sums meet in
// global memory, and the group that brings the last makes the floats. None of it can change a bit:
// the sums are exact, and epilogue.cuh makes the floats.
#include <algorithm>

#include "kernels/cuda/linear_kernels.h"
#include "kernels/cuda/many_rows.cuh"
#include "kernels/cuda/occupancy.h"

namespace octet::cuda {
namespace {

constexpr int kMostRows = 64;
constexpr int kGroups = 2;  // warp groups that multiply
constexpr int kMultipliers = 128 * kGroups, kThreads = kMultipliers + 32;
constexpr int kRingBytes = 160 * 1024;  // leaves room for a block of the kernel behind this one
constexpr int kFlagWords = kMaxShards * kMaxLeafSpans / 32;

// kRows: of the call, rounded up; kTiles: sixty-fours of outputs of a warp group.
template <int kRows_, int kTiles_, bool kMixed_>
struct Shape {
  static constexpr int kRows = kRows_, kTiles = kTiles_;
  static constexpr bool kMixed = kMixed_;
  static constexpr int kGroupOutputs = 64 * kTiles, kOutputs = kGroupOutputs * kGroups;
  static constexpr int kWeightBytes = kOutputs * kSpan;
  static constexpr int kInputBytes = kRows * kSpan;  // of one digit
  static constexpr int kStageBytes = kWeightBytes + (kMixed ? 2 : 1) * kInputBytes;
  static constexpr int kStages = kRingBytes / kStageBytes;
  static constexpr int kBarriers = kStages * kStageBytes, kFlags = kBarriers + 16 * kStages;
  static constexpr int kLast = kFlags + (kMixed ? 4 * kFlagWords : 0);
  static constexpr int kSharedBytes = kLast + 4 * kGroups;
};

// Units [begin, end) of this block.
struct Range {
  int begin, end;
};

template <typename S>
class Block {
 public:
  __device__ explicit Block(const LinearCall& call)
      : call_(call), spans_(call.padded_in / kSpan), tiles_(tiles_of(call)) {
    const int64_t units = int64_t{tiles_} * spans_, blocks = gridDim.x, block = blockIdx.x;
    range_ = {static_cast<int>(units * block / blocks),
              static_cast<int>(units * (block + 1) / blocks)};
  }

  static __host__ __device__ int tiles_of(const LinearCall& call) {
    return (call.padded_rows + S::kOutputs - 1) / S::kOutputs;
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
    const int first_end = min(range_.begin + S::kStages, range_.end);
    if (leader) {
      for (int unit = range_.begin; unit < first_end; ++unit) {
        barrier_expect(full(unit - range_.begin), weight_bytes(unit));
        copy_weights(unit, unit - range_.begin);
      }
    }
    wait_for_predecessor();
    if (leader) {
      for (int unit = range_.begin; unit < first_end; ++unit) {
        const int stage = unit - range_.begin;
        if constexpr (S::kMixed) {
          barrier_expect(full(stage), S::kInputBytes);
        } else {
          barrier_arrive_expecting(full(stage), S::kInputBytes);
        }
        copy_tile(inputs(stage), low, 0, unit % spans_ * kSpan, full(stage));
      }
    }
    if constexpr (S::kMixed) {
      __syncwarp();
      sync_threads(1, kThreads);  // the flags are there
      if (leader) {
        for (int unit = range_.begin; unit < first_end; ++unit) {
          const int stage = unit - range_.begin;
          barrier_arrive_expecting(full(stage), flagged(unit % spans_) ? S::kInputBytes : 0);
          if (flagged(unit % spans_)) copy_high(high, unit, stage);
        }
      }
    }
    if (!leader) return;
    int stage = 0, parity = 0;
    for (int unit = first_end; unit < range_.end; ++unit) {
      barrier_wait(empty(stage), parity);
      const bool with_high = S::kMixed && flagged(unit % spans_);
      barrier_arrive_expecting(full(stage),
                               weight_bytes(unit) + (with_high ? 2 : 1) * S::kInputBytes);
      copy_weights(unit, stage);
      copy_tile(inputs(stage), low, 0, unit % spans_ * kSpan, full(stage));
      if (with_high) copy_high(high, unit, stage);
      advance(stage, parity);
    }
  }

  // What the warp groups do.
  __device__ void multiply() {
    wait_for_predecessor();
    if constexpr (S::kMixed) find_outliers();
    int stage = 0, parity = 0;
    for (int unit = range_.begin; unit < range_.end;) {
      const int tile = unit / spans_, first = unit % spans_;
      const int end = min(spans_, first + range_.end - unit);
      load_scales(tile);
      const bool alone = first == 0 && end == spans_ && call_.num_leaves == 1;
      for (int leaf = 0, span = first; span < end; ++leaf) {
        const int leaf_end = min(end, call_.place[leaf + 1] / kSpan);
        if (span >= leaf_end) continue;
        clear_all();
        const bool with_high = take(span, leaf_end, stage, parity);
        if (!alone && here(tile)) add_to_tile(tile, leaf, with_high);
        span = leaf_end;
      }
      unit += end - first;
      if (!here(tile)) continue;
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
  __device__ std::byte* inputs(int stage) const { return weights(stage) + S::kWeightBytes; }
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

  __device__ int weight_bytes(int unit) const {
    return min(S::kOutputs, call_.padded_rows - unit / spans_ * S::kOutputs) * kSpan;
  }
  __device__ void copy_weights(int unit, int stage) const {
    const int64_t row = int64_t{unit % spans_} * call_.padded_rows + unit / spans_ * S::kOutputs;
    copy_bulk(weights(stage), call_.weight + row * kSpan, weight_bytes(unit), full(stage));
  }
  __device__ void copy_high(const TileMap& high, int unit, int stage) const {
    copy_tile(inputs(stage) + S::kInputBytes, high, 0, unit % spans_ * kSpan, full(stage));
  }

  // Flags the spans in which a row of the call has an outlier.
  __device__ void find_outliers() const {
    const int words = (spans_ + 31) / 32, pieces = static_cast<int>(span_stride(call_.padded_in) / 16);
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

  using Sums = int32_t[S::kTiles][S::kRows / 2];  // as warp_group_mma_s8 leaves them

  __device__ void clear_all() {
#pragma unroll
    for (int t = 0; t < S::kTiles; ++t) {
      clear(low_[t]);
      if constexpr (S::kMixed) clear(high_[t]);
    }
  }

  __device__ void fence_all() {
#pragma unroll
    for (int t = 0; t < S::kTiles; ++t) {
      fence_sums(low_[t]);
      if constexpr (S::kMixed) fence_sums(high_[t]);
    }
  }

  static __device__ void multiply_span(Sums& sums, const std::byte* weights,
                                       const std::byte* inputs) {
#pragma unroll
    for (int t = 0; t < S::kTiles; ++t) {
#pragma unroll
      for (int k = 0; k < kSpan; k += 32) {
        warp_group_mma_s8<S::kRows>(sums[t], matrix_descriptor(weights + t * 64 * kSpan + k),
                                    matrix_descriptor(inputs + k));
      }
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
      const std::byte* mine = weights(stage) + group() * S::kGroupOutputs * kSpan;
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

  // The first packed output of this warp group in a tile; padding may end before it.
  __device__ int first_output(int tile) const {
    return tile * S::kOutputs + group() * S::kGroupOutputs;
  }
  __device__ bool here(int tile) const { return first_output(tile) < call_.padded_rows; }

  // Where element i of 64-output tile t is: output among the group's, row of the call.
  static __device__ int output_of(int t, int i) {
    return t * 64 + static_cast<int>(threadIdx.x) % 128 / 32 * 16 + lane() / 4 + i / 2 % 2 * 8;
  }
  static __device__ int row_of(int i) { return i / 4 * 8 + lane() % 4 * 2 + i % 2; }

  // [leaf][low, high][row][output] of a group's part of a tile.
  __device__ int32_t* shared_sums(int tile, int leaf, int high) const {
    const int64_t part = int64_t{tile} * kGroups + group();
    return call_.sums + ((part * call_.num_leaves + leaf) * 2 + high) * S::kRows * S::kGroupOutputs;
  }

  // f(sum, its place among shared sums) of those that are rows of the call.
  template <typename F>
  __device__ void each(Sums& sums, const F& f) const {
#pragma unroll
    for (int i = 0; i < S::kRows / 2; ++i) {
      if (i % 16 == 0) __syncwarp();  // or all loads would go first and take registers
#pragma unroll
      for (int t = 0; t < S::kTiles; ++t) {
        if (row_of(i) < call_.n) f(sums[t][i], row_of(i) * S::kGroupOutputs + output_of(t, i));
      }
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
    TileMemory<S::kRows / 2> memory[S::kTiles];
    for (int root = 0; root < call_.num_roots; ++root) {
      const int first = call_.first_leaf[root], end = call_.first_leaf[root + 1];
      for (int leaf = first; leaf < end; ++leaf) {
        clear_all();
        fetch(low_, shared_sums(tile, leaf, 0));
        if constexpr (S::kMixed) fetch(high_, shared_sums(tile, leaf, 1));
        to_values(leaf);
#pragma unroll
        for (int t = 0; t < S::kTiles; ++t) memory[t].fold(leaf - first, end - first, low_[t]);
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
    for (int j = 0; j < S::kRows / 8; ++j) {
      __syncwarp();  // as in each()
      float row_scales[2] = {};
      int outliers[2] = {};
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const int row = row_of(4 * j + i), at = row * call_.num_leaves + leaf;
        if (row >= call_.n) continue;
        row_scales[i] = call_.row_scales[at];
        if constexpr (S::kMixed) outliers[i] = call_.outliers[at];
      }
#pragma unroll
      for (int t = 0; t < S::kTiles; ++t) {
#pragma unroll
        for (int i = 4 * j; i < 4 * j + 4; ++i) {
          int high = 0;
          if constexpr (S::kMixed) high = high_[t][i];
          low_[t][i] = __float_as_int(leaf_value(low_[t][i], high, outliers[i % 2],
                                                 row_scales[i % 2], scales_[t][i / 2 % 2]));
        }
      }
    }
  }

  __device__ void load_scales(int tile) {
#pragma unroll
    for (int t = 0; t < S::kTiles; ++t) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        scales_[t][half] =
            here(tile) ? call_.scales[first_output(tile) + output_of(t, 2 * half)] : 0;
      }
    }
  }

  // Bias, activation, and the values that are not padding to where they belong. One eight of rows
  // after the other passes through the first registers. Destroys the values.
  __device__ void store(int tile, int root) {
    const bool gated = call_.activation == Activation::kSiluGate;
#pragma unroll 1
    for (int j = 0; j < S::kRows / 8; ++j) {
#pragma unroll
      for (int t = 0; t < S::kTiles; ++t) {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          const int output = first_output(tile) + output_of(t, i), row = 8 * j + row_of(i);
          float value = __int_as_float(low_[t][i]), up = 0;
          value += call_.bias == nullptr ? 0.0f : call_.bias[output];
          if (gated) up = __shfl_xor_sync(0xffffffffu, value, 4);
          if (row < call_.n && output < call_.rows && !(gated && output % 2 != 0)) {
            *result_place(call_, row, output, root) = activate(call_.activation, value, up);
          }
        }
#pragma unroll
        for (int i = 0; i + 4 < S::kRows / 2; ++i) low_[t][i] = low_[t][i + 4];
      }
    }
  }

  const LinearCall& call_;
  const int spans_, tiles_;
  Range range_;
  Sums low_, high_;  // the latter with kMixed only
  float scales_[S::kTiles][2];
};

template <typename S>
__global__ void __launch_bounds__(kThreads, 1)
    streamed_kernel(const __grid_constant__ LinearCall call, const __grid_constant__ TileMap low,
                    const __grid_constant__ TileMap high) {
  let_successor_start();
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
  const int units = Block<S>::tiles_of(call) * (call.padded_in / kSpan);
  const int blocks = std::min(units, device_attribute(cudaDevAttrMultiProcessorCount));
  const TileMap low = map_tiles(call.low, call.n, call.padded_in, S::kRows);
  const TileMap high = S::kMixed ? map_tiles(call.high, call.n, call.padded_in, S::kRows) : low;
  launch(streamed_kernel<S>, dim3(blocks), dim3(kThreads), S::kSharedBytes, stream, call, low,
         high);
}

template <bool kMixed>
void run_rows(const LinearCall& call, cudaStream_t stream) {
  if (call.n <= 8) return run_shape<Shape<8, 1, kMixed>>(call, stream);
  if (call.n <= 16) return run_shape<Shape<16, 1, kMixed>>(call, stream);
  if (call.n <= 32) return run_shape<Shape<32, 2, kMixed>>(call, stream);
  run_shape<Shape<64, kMixed ? 1 : 2, kMixed>>(call, stream);  // both digits would not fit
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
