// kStreamed: 1 to 64 rows on compute capability 9.0. The weights pass once from memory through a
// ring of shared memory, as fast as it gives them; everything else hides behind that.
//
// A block takes 128 outputs, and of their columns all or, as one of a cluster of two or four, an
// even piece. One warp copies spans of weights into the ring and one the rows'; two warp groups
// multiply them from there, weights as the 64-row operand. The sums of a cluster's blocks meet in
// shared memory, where each block finishes its part of the rows. None of it can change a bit: the
// sums are exact, and epilogue.cuh makes the floats.
//
// The memory never rests: a block lets its successor start shortly before it has asked for its last
// weights, and asks for its own first ones before the kernel in front has ended. So two blocks fit
// a multiprocessor.
#include <algorithm>

#include "kernels/cuda/linear_kernels.h"
#include "kernels/cuda/many_rows.cuh"
#include "kernels/cuda/occupancy.h"

namespace octet::cuda {
namespace {

constexpr int kMostRows = 64;
constexpr int kGroups = 2;  // warp groups that multiply
constexpr int kMultiplyThreads = 128 * kGroups, kThreads = kMultiplyThreads + 64;
constexpr int kOutputs = 64 * kGroups, kWeightBytes = kOutputs * kSpan;
constexpr int kRingBytes = 92 * 1024;
constexpr int kSpansFromEnd = 12;   // that are still to be asked for when the successor may start
constexpr int kLargestCluster = 4;  // as many sums as a thread has at least
constexpr int kFlagWords = kMaxShards * kMaxLeafSpans / 32;

// Of one row and leaf.
struct RowLeaf {
  float scale;
  int outliers;
};

// kRows: of the call, rounded up; kSpans: of a stage. Shared memory: [stage][weights, low digits,
// high digits][span]; the ring's barriers; flags of spans with outliers; [low, high][block of the
// cluster] sums of the part of the rows that this block finishes; rows' scales.
template <int kRows_, bool kMixed_>
struct Shape {
  static constexpr int kRows = kRows_, kSums = kRows / 2;  // of a thread
  static constexpr bool kMixed = kMixed_;
  static constexpr int kSpans = kRows == 64 ? 1 : 2;
  // Products in flight do not wait for each other's sums.
  static constexpr int kSets = kRows == 64 ? 1 : kRows == 32 ? 2 : 4;
  static constexpr int kInputBytes = kRows * kSpan;  // of one digit of a span
  static constexpr int kHigh = kSpans * (kWeightBytes + kInputBytes);
  static constexpr int kStageBytes = kHigh + (kMixed ? kSpans * kInputBytes : 0);
  static constexpr int kStages = kRingBytes / kStageBytes;
  static constexpr int kBarriers = kStages * kStageBytes, kFlags = kBarriers + 16 * kStages;
  static constexpr int kBehindFlags = kFlags + (kMixed ? 4 * kFlagWords : 0);
  static constexpr int kMetBytes = (kMixed ? 2 : 1) * kSums * kMultiplyThreads * 4;
  static constexpr bool kMeetInRing = kRows == 64;  // or two blocks would not fit
  static constexpr int kMet = kMeetInRing ? 0 : kBehindFlags;
  static constexpr int kRowLeaves = kBehindFlags + (kMeetInRing ? 0 : kMetBytes);
  static_assert(kMetBytes <= kBarriers || !kMeetInRing);

  static size_t shared_bytes(const LinearCall& call) {
    return kRowLeaves + static_cast<size_t>(call.n) * call.num_leaves * sizeof(RowLeaf);
  }
};

// The spans of one stage: none where the block has no more.
struct Piece {
  int leaf, span, count;
};

template <typename S>
class Block {
 public:
  __device__ Block(const LinearCall& call, int cluster)
      : call_(call),
        cluster_(cluster),
        tile_(blockIdx.x / cluster),
        rank_(blockIdx.x % cluster),
        part_(S::kSums / cluster) {
    const int spans = call.padded_in / kSpan;
    begin_ = spans * rank_ / cluster;
    end_ = spans * (rank_ + 1) / cluster;
  }

  __device__ void prepare() const {
    if (threadIdx.x == 0) {
      for (int i = 0; i < S::kStages; ++i) {
        barrier_init(full(i), 2);
        barrier_init(empty(i), kMultiplyThreads / 32);
      }
      barrier_init_fence();
    }
    meet();
  }

  // What the two warps behind the warp groups do: lane l copies span l of a stage.
  __device__ void copy_weights() const {
    bool told = false;
    each_stage([&](const Piece& piece, int stage) {
      if (!told && piece.span >= end_ - kSpansFromEnd) {
        let_successor_start();
        told = true;
      }
      if (lane() == 0) barrier_arrive_expecting(full(stage), piece.count * kWeightBytes);
      if (lane() >= piece.count) return;
      const int64_t row = int64_t{piece.span + lane()} * call_.padded_rows + tile_ * kOutputs;
      copy_bulk(weights(stage) + lane() * kWeightBytes, call_.weight + row * kSpan, kWeightBytes,
                full(stage));
    });
    let_successor_start();
  }
  __device__ void copy_inputs(const TileMap& low, const TileMap& high) const {
    wait_for_predecessor();
    if constexpr (S::kMixed) sync_threads(1, kMultiplyThreads + 32);  // the flags are there
    each_stage([&](const Piece& piece, int stage) {
      const bool mine = lane() < piece.count;
      const int span = piece.span + lane();
      int count = piece.count;
      bool with_high = false;
      if constexpr (S::kMixed) {
        with_high = mine && flagged(span);
        count += __popc(__ballot_sync(0xffffffffu, with_high));
      }
      if (lane() == 0) barrier_arrive_expecting(full(stage), count * S::kInputBytes);
      if (!mine) return;
      copy_tile(inputs(stage) + lane() * S::kInputBytes, low, 0, span * kSpan, full(stage));
      if (!with_high) return;
      copy_tile(high_inputs(stage) + lane() * S::kInputBytes, high, 0, span * kSpan, full(stage));
    });
  }

  // What the warp groups do.
  __device__ void multiply() {
    wait_for_predecessor();
    load_row_leaves();
    load_output_values();
    if constexpr (S::kMixed) find_outliers();
    int stage = 0, parity = 0;
    if (call_.num_leaves == 1) {
      take(begin_, end_, stage, parity);
    } else {
      sync_threads(2, kMultiplyThreads);  // the rows' scales are there
      multiply_leaves(stage, parity);
    }
  }

  // The cluster's blocks hand over their sums, and each makes outputs of its part of them.
  __device__ void finish() const {
    if (call_.num_leaves > 1) return;
    if constexpr (S::kMeetInRing) meet();
    if (threadIdx.x < kMultiplyThreads) {
      hand_over(low_[0], 0);
      if constexpr (S::kMixed) hand_over(high_[0], 1);
    }
    meet();
    if (threadIdx.x >= kMultiplyThreads) return;
#pragma unroll 4
    for (int k = 0; k < part_; ++k) {
      const int i = rank_ * part_ + k;
      int low = 0, high = 0;
      for (int from = 0; from < cluster_; ++from) {
        low += *met(0, from, k);
        if constexpr (S::kMixed) high += *met(1, from, k);
      }
      const RowLeaf row = row_leaves()[min(row_of(i), call_.n - 1)];
      store(
          i, 0,
          leaf_value(low, high, row.outliers, row.scale, i / 2 % 2 == 0 ? scales_[0] : scales_[1]));
    }
  }

 private:
  // All threads of the cluster; what they wrote to shared memory is seen.
  __device__ void meet() const {
    if (cluster_ == 1) {
      __syncthreads();
    } else {
      cluster_sync();
    }
  }

  __device__ std::byte* weights(int stage) const {
    return dynamic_shared() + stage * S::kStageBytes;
  }
  __device__ std::byte* inputs(int stage) const {
    return weights(stage) + S::kSpans * kWeightBytes;
  }
  __device__ std::byte* high_inputs(int stage) const { return weights(stage) + S::kHigh; }
  __device__ uint64_t* full(int i) const {
    return reinterpret_cast<uint64_t*>(dynamic_shared() + S::kBarriers) + i;
  }
  __device__ uint64_t* empty(int i) const { return full(S::kStages + i); }
  __device__ unsigned* flags() const {
    return reinterpret_cast<unsigned*>(dynamic_shared() + S::kFlags);
  }
  __device__ bool flagged(int span) const { return (flags()[span / 32] >> span % 32 & 1) != 0; }

  // This thread's k-th sum of this block's part, as block `from` hands it over.
  __device__ int* met(int high, int from, int k) const {
    const int at = high * S::kSums + from * part_ + k;
    return reinterpret_cast<int*>(dynamic_shared() + S::kMet) + at * kMultiplyThreads + threadIdx.x;
  }

  static __device__ void advance(int& stage, int& parity) {
    if (++stage < S::kStages) return;
    stage = 0;
    parity ^= 1;
  }

  // Calls copy(piece, stage) for all spans of the block, when the stage is free. A whole warp.
  template <typename Copy>
  __device__ void each_stage(const Copy& copy) const {
    int stage = 0, parity = 1;
    for (Piece piece = next({0, begin_, 0}); piece.count > 0; piece = next(piece)) {
      barrier_wait(empty(stage), parity);
      copy(piece, stage);
      __syncwarp();
      advance(stage, parity);
    }
  }
  // A stage has spans of one leaf.
  __device__ Piece next(Piece piece) const {
    piece.span += piece.count;
    int end = end_;
    if (call_.num_leaves > 1) {
      while (piece.span < end_ && call_.place[piece.leaf + 1] / kSpan <= piece.span) ++piece.leaf;
      end = min(end_, call_.place[piece.leaf + 1] / kSpan);
    }
    piece.count = max(0, min(S::kSpans, end - piece.span));
    return piece;
  }

  static __device__ int lane() { return static_cast<int>(threadIdx.x) % 32; }

  // Flags the spans in which a row of the call has an outlier.
  __device__ void find_outliers() const {
    const int spans = call_.padded_in / kSpan, words = (spans + 31) / 32;
    const int pieces = static_cast<int>(span_stride(call_.padded_in) / 16);
    for (int i = threadIdx.x; i < words; i += kMultiplyThreads) flags()[i] = 0;
    sync_threads(2, kMultiplyThreads);
    const auto* from = reinterpret_cast<const uint4*>(call_.spans);
#pragma unroll 4
    for (int i = threadIdx.x; i < pieces * call_.n; i += kMultiplyThreads) {
      const uint4 piece = from[i];
      if ((piece.x | piece.y | piece.z | piece.w) == 0) continue;
      const uint32_t parts[4] = {piece.x, piece.y, piece.z, piece.w};
      const int first = i % pieces * 16;
#pragma unroll
      for (int k = 0; k < 16; ++k) {
        const int span = first + k;
        if ((parts[k / 4] >> k % 4 * 8 & 0xff) != 0 && span < spans) {
          atomicOr(flags() + span / 32, 1u << span % 32);
        }
      }
    }
    sync_threads(1, kMultiplyThreads + 32);
  }

  __device__ RowLeaf* row_leaves() const {
    return reinterpret_cast<RowLeaf*>(dynamic_shared() + S::kRowLeaves);
  }
  __device__ void load_row_leaves() const {
    for (int i = threadIdx.x; i < call_.n * call_.num_leaves; i += kMultiplyThreads) {
      row_leaves()[i] = {call_.row_scales[i], S::kMixed ? call_.outliers[i] : 0};
    }
  }

  using Sums = int32_t[S::kSums];  // as warp_group_mma_s8 leaves them

  // kSets: over so many sums in turn, from the j-th span's on.
  template <int kSets>
  static __device__ void multiply_span(Sums (&sums)[kSets], int j, const std::byte* weights,
                                       const std::byte* inputs) {
#pragma unroll
    for (int k = 0; k < 2; ++k) {
      warp_group_mma_s8<S::kRows>(sums[(2 * j + k) % kSets], matrix_descriptor(weights + 32 * k),
                                  matrix_descriptor(inputs + 32 * k));
    }
  }

  // The products of spans [span, end), which come through the ring.
  __device__ void take(int span, int end, int& stage, int& parity) {
#pragma unroll
    for (auto& sums : low_) clear(sums);
    if constexpr (S::kMixed) clear(high_[0]);
    int before = -1;
    const auto release = [&] {
      if (before >= 0 && threadIdx.x % 32 == 0) barrier_arrive(empty(before));
    };
    fence_all();
    for (; span < end; span += S::kSpans) {
      barrier_wait(full(stage), parity);
      const std::byte* mine = weights(stage) + threadIdx.x / 128 * 64 * kSpan;
      warp_group_fence();
#pragma unroll
      for (int j = 0; j < S::kSpans; ++j) {
        if (span + j >= end) break;
        multiply_span(low_, j, mine + j * kWeightBytes, inputs(stage) + j * S::kInputBytes);
        if constexpr (S::kMixed) {
          if (__shfl_sync(0xffffffffu, flagged(span + j), 0)) {  // seen to be uniform
            warp_group_fence();
            multiply_span(high_, j, mine + j * kWeightBytes,
                          high_inputs(stage) + j * S::kInputBytes);
          }
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
#pragma unroll
    for (int set = 1; set < S::kSets; ++set) {
#pragma unroll
      for (int i = 0; i < S::kSums; ++i) low_[0][i] += low_[set][i];
    }
  }
  __device__ void fence_all() {
#pragma unroll
    for (auto& sums : low_) fence_sums(sums);
    if constexpr (S::kMixed) fence_sums(high_[0]);
  }

  // Each sum to the block that finishes it.
  __device__ void hand_over(const Sums& sums, int high) const {
#pragma unroll
    for (int i = 0; i < S::kSums; ++i) {
      if (cluster_ == 1) {
        *met(high, 0, i) = sums[i];
      } else {
        store_in(i >> __ffs(part_) - 1, met(high, rank_, i & part_ - 1), sums[i]);
      }
    }
  }

  // Element i of a thread's sums is of this row of the call...
  static __device__ int row_of(int i) {
    return i / 4 * 8 + static_cast<int>(threadIdx.x) % 4 * 2 + i % 2;
  }
  // ... and of this packed output, or where i / 2 is odd of the one 8 behind.
  __device__ int first_output() const {
    return tile_ * kOutputs + static_cast<int>(threadIdx.x) / 32 * 16 +
           static_cast<int>(threadIdx.x) % 32 / 4;
  }

  __device__ void load_output_values() {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      scales_[half] = call_.scales[first_output() + 8 * half];
      biases_[half] = call_.bias == nullptr ? 0.0f : call_.bias[first_output() + 8 * half];
    }
  }

  // Bias and activation of element i's value, to where it belongs if it is not padding.
  __device__ void store(int i, int root, float value) const {
    const int output = first_output() + i / 2 % 2 * 8, row = row_of(i);
    const bool gated = call_.activation == Activation::kSiluGate;
    value += i / 2 % 2 == 0 ? biases_[0] : biases_[1];
    const float up = gated ? __shfl_xor_sync(0xffffffffu, value, 4) : 0.0f;
    if (row < call_.n && output < call_.rows && !(gated && output % 2 != 0)) {
      *result_place(call_, row, output, root) = activate(call_.activation, value, up);
    }
  }

  // One leaf after the other; a block has all columns.
  __device__ void multiply_leaves(int& stage, int& parity) {
    TileMemory<S::kSums> memory;
    for (int root = 0; root < call_.num_roots; ++root) {
      const int first = call_.first_leaf[root], end = call_.first_leaf[root + 1];
      for (int leaf = first; leaf < end; ++leaf) {
        take(call_.place[leaf] / kSpan, call_.place[leaf + 1] / kSpan, stage, parity);
#pragma unroll
        for (int i = 0; i < S::kSums; ++i) {
          const RowLeaf row = row_leaves()[min(row_of(i), call_.n - 1) * call_.num_leaves + leaf];
          int high = 0;
          if constexpr (S::kMixed) high = high_[0][i];
          low_[0][i] = __float_as_int(
              leaf_value(low_[0][i], high, row.outliers, row.scale, scales_[i / 2 % 2]));
        }
        memory.fold(leaf - first, end - first, low_[0]);
      }
      if (call_.num_roots == 1) break;
      // No bias, no activation.
      float* to = result_place(call_, row_of(0), first_output(), root);
#pragma unroll
      for (int i = 0; i < S::kSums; ++i) {
        if (row_of(i) < call_.n && first_output() + i / 2 % 2 * 8 < call_.rows) {
          to[i % 2 * call_.out_features + i / 2 % 2 * 8] = __int_as_float(low_[0][i]) + 0.0f;
        }
        if (i % 4 == 3) to += 8 * call_.out_features;
      }
    }
    if (call_.num_roots > 1) return;
    sync_threads(2, kMultiplyThreads);  // the ring is free
    hand_over(low_[0], 0);              // to itself: store() takes elements by a number at run time
#pragma unroll 2
    for (int i = 0; i < S::kSums; ++i) store(i, 0, __int_as_float(*met(0, 0, i)));
  }

  const LinearCall& call_;
  const int cluster_, tile_, rank_;
  const int part_;                // of a thread's sums, that a block of the cluster finishes
  int begin_, end_;               // spans
  Sums low_[S::kSets], high_[1];  // the latter with kMixed only
  float scales_[2], biases_[2];
};

template <typename S>
__global__ void __launch_bounds__(kThreads, 2)
    streamed_kernel(const __grid_constant__ LinearCall call, const __grid_constant__ TileMap low,
                    const __grid_constant__ TileMap high, int cluster) {
  Block<S> block(call, cluster);
  block.prepare();
  if (threadIdx.x < kMultiplyThreads) {
    block.multiply();
  } else if (threadIdx.x < kMultiplyThreads + 32) {
    block.copy_inputs(low, high);
  } else {
    block.copy_weights();
  }
  block.finish();
}

// As many blocks as keep the memory busy; a tile with several leaves is not cut.
int cluster_of(const LinearCall& call, int tiles) {
  const int enough = device_attribute(cudaDevAttrMultiProcessorCount);
  int cluster = 1;
  while (call.num_leaves == 1 && cluster < kLargestCluster && cluster * tiles < enough)
    cluster *= 2;
  return cluster;
}

template <typename S>
void run_shape(const LinearCall& call, cudaStream_t stream) {
  const int tiles = call.padded_rows / kOutputs, cluster = cluster_of(call, tiles);
  const TileMap low = map_tiles(call.low, call.n, call.padded_in, S::kRows);
  const TileMap high = S::kMixed ? map_tiles(call.high, call.n, call.padded_in, S::kRows) : low;
  launch_clusters(cluster, streamed_kernel<S>, dim3(tiles * cluster), dim3(kThreads),
                  S::shared_bytes(call), stream, call, low, high, cluster);
}

template <bool kMixed>
void run_rows(const LinearCall& call, cudaStream_t stream) {
  if (call.n <= 8) return run_shape<Shape<8, kMixed>>(call, stream);
  if (call.n <= 16) return run_shape<Shape<16, kMixed>>(call, stream);
  if (call.n <= 32) return run_shape<Shape<32, kMixed>>(call, stream);
  run_shape<Shape<64, kMixed>>(call, stream);
}

void run(const LinearCall& call, cudaStream_t stream) {
  if (call.mixed) return run_rows<true>(call, stream);
  run_rows<false>(call, stream);
}

bool accepts(const LinearCall& call) {
  return call.n <= kMostRows && call.padded_in > 0 &&
         device_attribute(cudaDevAttrComputeCapabilityMajor) == 9;
}

}  // namespace

const LinearKernel kStreamed{"streamed", accepts, run};

}  // namespace octet::cuda
