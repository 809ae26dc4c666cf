// kStreamed: 1 to 64 rows on compute capability 9.0. The weights pass once from memory through a
// ring of shared memory, as fast as it gives them; everything else hides behind that.
//
// The outputs are cut so that every block has as many, one block a multiprocessor: no block ends
// before the others. Where that would leave few for a block, a cluster of two takes twice as many
// and cuts their columns instead, which reads the rows half as often. One warp copies spans of
// weights into the ring, one the rows' (and their scales) and one the rows' high digits where there
// are any; two warp groups multiply from there, each a half of the outputs, the call's rows as the
// 64-row operand. The rows that it has not are whatever lies in the ring behind: their sums are not
// used. The sums of a cluster's blocks meet in shared memory, where each block finishes its part of
// the outputs. None of it can change a bit: the sums are exact, and epilogue.cuh makes the floats.
//
// Weights are asked for before the kernel in front has ended: a ring full of them arrives while
// that one and the small kernels between two products run, a few stages at a time, because those
// are slow while the memory is busy for others.
#include <algorithm>

#include "kernels/cuda/linear_kernels.h"
#include "kernels/cuda/linear_streamed.cuh"
#include "kernels/cuda/occupancy.h"

namespace octet::cuda {
namespace {

using namespace streamed;

// kN: outputs of a warp group's product, at least Plan::half.
template <int kN, int kSpans, bool kMixed>
class Block : Piece {
 public:
  __device__ Block(const LinearCall& call, const Plan& plan) : Piece(call, plan) {
    const int spans = call.padded_in / kSpan;
    begin_ = spans * rank_ / plan.cluster;
    end_ = spans * (rank_ + 1) / plan.cluster;
  }

  __device__ void prepare() const {
    const int i = static_cast<int>(threadIdx.x);
    if (i < plan_.stages) {
      barrier_init(weights_there(i), 1);
      barrier_init(inputs_there(i), 1);
      barrier_init(high_inputs_there(i), 1);
      barrier_init(empty(i), kMultiplyWarps);
      barrier_init_fence();
    }
    if (i == 0) barrier_init(predecessor_ended(), 1);
    __syncthreads();
    let_successor_start();
    if (plan_.cluster > 1) cluster_arrive();
  }

  // What the warps behind the warp groups do: lane l copies what the l-th span of a stage needs.
  __device__ void copy_weights() const {
    const int bytes = min(plan_.width, call_.padded_rows - tile_ * plan_.width) * kSpan;
    int stages = 0;
    each_stage([&](int span, int count, int stage) {
      if (stages >= plan_.early && stages < plan_.stages &&
          !barrier_passed(predecessor_ended(), 0)) {
        barrier_wait(weights_there(stages - plan_.early), 0);
      }
      ++stages;
      if (lane() == 0) barrier_arrive_expecting(weights_there(stage), count * bytes);
      if (lane() >= count) return;
      const int64_t row = int64_t{span} * call_.padded_rows + tile_ * plan_.width;
      copy_bulk_once(weights(stage, lane()), call_.weight + row * kSpan, bytes,
                     weights_there(stage));
    });
  }
  __device__ void copy_inputs(const TileMap& low) const {
    wait_for_predecessor();
    if (lane() == 0) barrier_arrive(predecessor_ended());
    each_stage([&](int span, int count, int stage) {
      copy_rows(low, lane() < count, span, inputs(stage, lane()), inputs_there(stage));
    });
    if (call_.num_leaves == 1) load_row_leaves(lane(), 32);  // finish() needs them
  }
  __device__ void copy_high_inputs(const TileMap& high) const {
    wait_for_predecessor();
    sync_threads(kMasksReady, kMultiplyThreads + 32);
    each_stage([&](int span, int count, int stage) {
      const bool mine = lane() < count && flagged(span);
      if (__any_sync(0xffffffffu, mine)) {
        copy_rows(high, mine, span, high_inputs(stage, lane()), high_inputs_there(stage));
      } else if (lane() == 0) {
        barrier_arrive(high_inputs_there(stage));
      }
    });
  }

  // What the warp groups do.
  __device__ void multiply() {
    load_output_values();
    wait_for_predecessor();
    if constexpr (kMixed) find_outliers();
    int stage = 0, parity = 0;
    if (call_.num_leaves == 1) {
      take(begin_, end_, stage, parity);
    } else {
      load_row_leaves(static_cast<int>(threadIdx.x), kMultiplyThreads);
      sync_threads(kMultipliers, kMultiplyThreads);  // they are there
      multiply_leaves(stage, parity);
    }
  }

  // The cluster's blocks hand over their sums, and each makes outputs of its part of them. The
  // warps that have copied go through it first, for nothing: when a layer's kernels come round
  // again, its instructions are no longer in the multiprocessor's cache.
  __device__ void finish() const {
    if (call_.num_leaves > 1) return;
    if (plan_.cluster > 1) cluster_wait();
    const bool multiplies = threadIdx.x < kMultiplyThreads;
#pragma unroll 1
    for (int round = multiplies ? 1 : 0; round < 2; ++round) {
      if (round == 1) {
        if (plan_.meet_in_ring) meet();
        const int n = multiplies ? call_.n : 0;
        hand_over(low_, 0, n);
        if constexpr (kMixed) hand_over(high_, 1, n);
        meet();
        if (!multiplies) break;
      }
      finish_part<kMixed, false>(0, multiplies ? call_.n : 1, multiplies);
    }
  }

 private:
  static constexpr int kSums = kN / 2;  // of a thread
  using Sums = int32_t[kSums];          // as warp_group_mma_s8 leaves them

  // All threads of the cluster; what they wrote to shared memory is seen.
  __device__ void meet() const {
    if (plan_.cluster == 1) {
      __syncthreads();
    } else {
      cluster_sync();
    }
  }

  __device__ void advance(int& stage, int& parity) const {
    if (++stage < plan_.stages) return;
    stage = 0;
    parity ^= 1;
  }

  // Rows of one span for each of the first lanes: zeros (of rows behind the call's) where it is not
  // `there`, since products are of whole stages.
  __device__ void copy_rows(const TileMap& digits, bool there, int span, std::byte* to,
                            uint64_t* barrier) const {
    if (lane() == 0) barrier_arrive_expecting(barrier, kSpans * input_bytes());
    if (lane() >= kSpans) return;
    copy_tile(to, digits, there ? 0 : plan_.row_tile, there ? span * kSpan : 0, barrier);
  }

  // Calls copy(span, count, stage) for all stages of the block, when the stage is free: lanes below
  // `count` have a span. A stage has spans of one leaf. A whole warp.
  template <typename Copy>
  __device__ void each_stage(const Copy& copy) const {
    int stage = 0, parity = 1;
    for (int leaf = 0; leaf < call_.num_leaves; ++leaf) {
      const int begin = max(begin_, call_.place[leaf] / kSpan),
                end = min(end_, call_.place[leaf + 1] / kSpan);
      for (int span = begin; span < end; span += kSpans) {
        barrier_wait(empty(stage), parity);
        copy(span + lane(), min(kSpans, end - span), stage);
        __syncwarp();
        advance(stage, parity);
      }
    }
  }

  // Marks the spans in which a row of the call has an outlier.
  __device__ void find_outliers() const {
    const int words = (call_.padded_in / kSpan + 31) / 32;
    for (int word = static_cast<int>(threadIdx.x) / 32; word < words; word += kMultiplyWarps) {
      const uint32_t mask = spans_with_outliers(call_, 0, call_.n, word);
      if (lane() == 0) masks()[word] = mask;
    }
    sync_threads(kMasksReady, kMultiplyThreads + 32);
  }

  __device__ void load_row_leaves(int first, int step) const {
    for (int i = first; i < call_.n * call_.num_leaves; i += step) {
      row_leaves()[i] = {call_.row_scales[i], kMixed ? call_.outliers[i] : 0};
    }
  }
  __device__ void load_output_values() const {
    float* to = output_values();
    for (int i = threadIdx.x; i < plan_.width; i += kMultiplyThreads) {
      const int output = tile_ * plan_.width + i;
      const bool there = output < call_.padded_rows;
      to[i] = there ? call_.scales[output] : 0.0f;
      to[plan_.width + i] = there && call_.bias != nullptr ? call_.bias[output] : 0.0f;
    }
  }

  // The products of spans [span, end), as they come through the ring.
  __device__ void take(int span, int end, int& stage, int& parity) {
    clear(low_);
    if constexpr (kMixed) clear(high_);
    const int first_output = group() * plan_.half * kSpan;
    int before = -1;
    const auto release = [&] {
      if (before >= 0 && lane() == 0) barrier_arrive(empty(before));
    };
    fence_all();
    for (; span < end; span += kSpans) {
      bool with_high = false;
      if constexpr (kMixed) {
        const bool mine = lane() < min(kSpans, end - span) && flagged(span + lane());
        with_high = __any_sync(0xffffffffu, mine);
        barrier_wait(high_inputs_there(stage), parity);
      }
      barrier_wait(weights_there(stage), parity);
      barrier_wait(inputs_there(stage), parity);
      // Always whole stages, and a fence wherever products begin: the compiler would wait for each
      // product else.
      const std::byte* b = weights(stage, 0) + first_output;
      multiply_stage(low_, inputs(stage, 0), b);
      if constexpr (kMixed) {
        if (with_high) multiply_stage(high_, high_inputs(stage, 0), b);
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
  }
  __device__ void multiply_stage(Sums& sums, const std::byte* a, const std::byte* b) const {
    warp_group_fence();
#pragma unroll
    for (int j = 0; j < kSpans; ++j) {
#pragma unroll
      for (int k = 0; k < kSpan; k += 32) {
        warp_group_mma_s8<kN>(sums, matrix_descriptor(a + j * input_bytes() + k),
                              matrix_descriptor(b + j * plan_.width * kSpan + k));
      }
    }
  }
  __device__ void fence_all() {
    fence_sums(low_);
    if constexpr (kMixed) fence_sums(high_);
  }

  // Elements 4 j and 4 j + 1 of a thread's sums are of this row and outputs 8 j + 2 (lane % 4) and
  // the next of its warp group, 4 j + 2 and 4 j + 3 of the row 8 below.
  static __device__ int first_row() {
    return static_cast<int>(threadIdx.x) % 128 / 32 * 16 + lane() / 4;
  }

  // Each sum of the first n rows to the block that finishes it.
  __device__ void hand_over(const Sums& sums, int high, int n) const {
    const int row = first_row(), width = group() == 0 ? plan_.half : plan_.width - plan_.half;
    const int first = group() * plan_.half / 8;
    int2* place = met(rank_, high, row, lane() % 4 * 2);
    int2* below = place + 4 * plan_.pitch;
    const bool one = row < n, two = row + 8 < n;
#pragma unroll
    for (int j = 0; j < kN / 8; ++j) {
      if (8 * j >= width) break;
      const int to = first + j & plan_.cluster - 1, at = (first + j >> plan_.cluster_shift) * 4;
      const int2 upper = make_int2(sums[4 * j], sums[4 * j + 1]);
      const int2 lower = make_int2(sums[4 * j + 2], sums[4 * j + 3]);
      if (plan_.cluster == 1) {
        if (one) place[at] = upper;
        if (two) below[at] = lower;
      } else {
        if (one) store_in(to, place + at, upper);
        if (two) store_in(to, below + at, lower);
      }
    }
  }

  // One leaf after the other; a block has all columns.
  __device__ void multiply_leaves(int& stage, int& parity) {
    TileMemory<kSums> memory;
    for (int root = 0; root < call_.num_roots; ++root) {
      const int first = call_.first_leaf[root], end = call_.first_leaf[root + 1];
      for (int leaf = first; leaf < end; ++leaf) {
        take(call_.place[leaf] / kSpan, call_.place[leaf + 1] / kSpan, stage, parity);
        const float* scales = output_values() + group() * plan_.half + lane() % 4 * 2;
        RowLeaf of[2];
#pragma unroll
        for (int below = 0; below < 2; ++below) {
          const int row = min(first_row() + 8 * below, call_.n - 1);
          of[below] = row_leaves()[row * call_.num_leaves + leaf];
        }
#pragma unroll
        for (int i = 0; i < kSums; ++i) {
          int high = 0;
          if constexpr (kMixed) high = high_[i];
          const RowLeaf& row = of[i / 2 % 2];
          // Behind the warp group's outputs lies something else, which is not used.
          low_[i] = __float_as_int(
              leaf_value(low_[i], high, row.outliers, row.scale, scales[i / 4 * 8 + i % 2]));
        }
        memory.fold(leaf - first, end - first, low_);
      }
      sync_threads(kMultipliers, kMultiplyThreads);  // what was handed over before has been read
      hand_over(low_, 0, call_.n);
      sync_threads(kMultipliers, kMultiplyThreads);
      finish_part<false, true>(root, call_.n, true);
    }
  }

  int begin_, end_;  // spans
  Sums low_, high_;  // the latter with kMixed only
};

template <int kN, int kSpans, bool kMixed>
__global__ void __launch_bounds__(kThreads<kMixed>, 1)
    streamed_kernel(const __grid_constant__ LinearCall call, const __grid_constant__ TileMap low,
                    const __grid_constant__ TileMap high, const __grid_constant__ Plan plan) {
  Block<kN, kSpans, kMixed> block(call, plan);
  block.prepare();
  if (threadIdx.x < kMultiplyThreads) {
    block.multiply();
  } else if (threadIdx.x < kMultiplyThreads + 32) {
    block.copy_weights();
  } else if (threadIdx.x < kMultiplyThreads + 64) {
    block.copy_inputs(low);
  } else if constexpr (kMixed) {
    block.copy_high_inputs(high);
  }
  block.finish();
}

template <int kN, int kSpans>
void run_plan(const LinearCall& call, int cluster, int width, cudaStream_t stream) {
  const Plan plan(call, cluster, width, kSpans);
  const int tiles = (call.rows + width - 1) / width;
  const auto run = [&](auto* kernel, int threads, const TileMap& low, const TileMap& high) {
    launch_clusters(cluster, kernel, dim3(tiles * cluster), dim3(threads), plan.bytes, stream, call,
                    low, high, plan);
  };
  const TileMap low = map_tiles(call.low, call.n, call.padded_in, plan.row_tile);
  if (call.mixed) {
    run(streamed_kernel<kN, kSpans, true>, kThreads<true>, low,
        map_tiles(call.high, call.n, call.padded_in, plan.row_tile));
  } else {
    run(streamed_kernel<kN, kSpans, false>, kThreads<false>, low, low);
  }
}

// How many blocks run at once, as clusters of so many.
int resident(int cluster) {
  static const auto count = [](int cluster) {
    return cluster * resident_clusters(cluster, streamed_kernel<kWidest / 2, 2, true>,
                                       dim3(kThreads<true>), kSharedBytes);
  };
  static const int blocks[] = {count(1), count(2)};
  return blocks[cluster - 1];
}

// The width that makes the fewest rounds of equal blocks.
int width_of(const LinearCall& call, int cluster) {
  const int slots = std::max(1, resident(cluster) / cluster);
  const int rounds = (call.rows + kWidest * slots - 1) / (kWidest * slots);
  return round_up((call.rows + slots * rounds - 1) / (slots * rounds), 8);
}

// Bytes that a block moves, through its ring and from there: weights, rows, the rows' 64-row
// operand; and a cluster's meeting, which takes as long as so many of them.
int64_t cost(const LinearCall& call, int cluster) {
  // Of an H200, whose multiprocessors read 33 KB a us: the faster of the two for GPT-3's shapes at
  // tp 8, at 1 and at 64 rows.
  constexpr int kOperandRows = 32, kMeetingBytes = 150 * 1024, kMeetingRowBytes = 3 * 1024;
  const int width = width_of(call, cluster), slots = std::max(1, resident(cluster) / cluster);
  const int64_t rounds = ((call.rows + width - 1) / width + slots - 1) / slots;
  const int spans = (call.padded_in / kSpan + cluster - 1) / cluster;
  const int meeting = cluster > 1 ? kMeetingBytes + call.n * kMeetingRowBytes : 0;
  return rounds * ((width + round_up(call.n, 8) + kOperandRows) * kSpan * spans + meeting);
}

// A tile with several leaves is not cut.
bool may_cut(const LinearCall& call) { return call.num_leaves == 1 && resident(2) > 0; }

void run(const LinearCall& call, cudaStream_t stream) {
  run_streamed(call, may_cut(call) && cost(call, 2) < cost(call, 1) ? 2 : 1, stream);
}

bool accepts(const LinearCall& call) {
  return call.n <= kMostRows && call.padded_in > 0 && call.rows > 0 &&
         device_attribute(cudaDevAttrComputeCapabilityMajor) == 9;
}

}  // namespace

void run_streamed(const LinearCall& call, int cluster, cudaStream_t stream) {
  if (!may_cut(call)) cluster = 1;
  const int width = width_of(call, cluster);
  if (width <= 96) return run_plan<48, 4>(call, cluster, width, stream);
  run_plan<96, 2>(call, cluster, width, stream);
}

const LinearKernel kStreamed{"streamed", accepts, run};

}  // namespace octet::cuda
