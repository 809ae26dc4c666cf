// What the blocks of linear_streamed.cu share out: how a call is cut, what lies where in a block's
// shared memory, and the last step, from the sums of a cluster's blocks to outputs.
#pragma once

#include <algorithm>
#include <bit>
#include <stdexcept>
#include <string>
#include <utility>

#include "kernels/cuda/many_rows.cuh"

namespace octet::cuda::streamed {

constexpr int kMostRows = 64;
constexpr int kGroups = 2;  // warp groups that multiply
constexpr int kMultiplyThreads = 128 * kGroups, kMultiplyWarps = kMultiplyThreads / 32;
template <bool kMixed>
constexpr int kThreads = kMultiplyThreads + (kMixed ? 96 : 64);
constexpr int kWidest = 192;  // outputs of a cluster
constexpr int kSharedBytes = 224 * 1024;
constexpr int kBehindRing = 4096;             // what products may read behind the ring's end
constexpr int kMostMeetingBytes = 48 * 1024;  // beside the ring
constexpr int kMostStages = 32;
constexpr int kBarrierBytes = 4 * 8;    // of a stage
constexpr int kBehindBarriers = 16;     // one more, and 8 bytes that nobody writes
constexpr int kEarlyBytes = 32 * 1024;  // of the ring in flight while the kernel in front runs
constexpr int kValueBytes = 2 * kWidest * 4;  // scales and biases; products may read behind them
constexpr int kMaskWords = kMaxShards * kMaxLeafSpans / 32;

// Barriers of some of a block's threads.
constexpr int kMasksReady = 1, kMultipliers = 2;

constexpr int round_up(int n, int multiple) { return (n + multiple - 1) / multiple * multiple; }

// How a call is cut, and where things lie in a block's shared memory: the ring, [stage][weights,
// low digits, high digits][span]; sums that meet, [from block][low, high][row][output]; the ring's
// barriers; masks of spans with outliers; the outputs' scales and biases; the rows' scales.
struct Plan {
  int cluster = 1;
  int width = 0;  // outputs of a cluster
  int half = 0;   // of the first warp group
  // Blocks of eight outputs go round the blocks of a cluster.
  int cluster_shift = 0;    // log2
  int part = 0, pitch = 0;  // outputs that a block finishes at most; how far rows of them lie apart
  int pair_shift = 0;       // log2 of the threads for the pairs of a row of them
  int row_tile = 0;         // the call's rows, rounded up to eights
  int digits = 1;
  int spans = 0, stages = 0, stage_bytes = 0;  // spans of a stage
  int early = 0;                               // stages of kEarlyBytes
  bool meet_in_ring = false;
  int met = 0, barriers = 0, masks = 0, scales = 0, row_leaves = 0, bytes = 0;

  Plan(const LinearCall& call, int cluster, int width, int spans)
      : cluster(cluster),
        width(width),
        half(round_up(width / 2, 8)),
        cluster_shift(std::countr_zero(static_cast<unsigned>(cluster))),
        part(round_up(width, 8 * cluster) / cluster),
        pitch(round_up(part - 8, 16) +
              8),  // no two of the four rows that a half warp writes in the same banks
        pair_shift(std::bit_width(static_cast<unsigned>(part / 2 - 1))),
        row_tile(round_up(call.n, 8)),
        digits(call.mixed ? 2 : 1),
        spans(spans) {
    const int leaf_digits = call.num_leaves == 1 ? digits : 1;
    const int met_bytes = cluster * leaf_digits * row_tile * pitch * 4;
    meet_in_ring = call.num_leaves == 1 && met_bytes > kMostMeetingBytes;
    const int small = (meet_in_ring ? 0 : met_bytes) + kMostStages * kBarrierBytes +
                      kBehindBarriers + (call.mixed ? 4 * kMaskWords : 0) + kValueBytes +
                      call.n * call.num_leaves * static_cast<int>(sizeof(RowLeaf));
    stage_bytes = spans * (width + row_tile * digits) * kSpan;
    const int room = kSharedBytes - std::max(small, kBehindRing);
    const int most = (call.padded_in / kSpan + cluster - 1) / cluster;
    const int needed = (most + spans - 1) / spans + call.num_leaves - 1;
    stages = std::min({room / stage_bytes, needed, kMostStages});
    early = std::max(1, kEarlyBytes / stage_bytes);
    int end = stages * stage_bytes;
    if (meet_in_ring) end = std::max(end, met_bytes);
    const int ring_end = end;
    const auto take = [&](int bytes) { return std::exchange(end, end + bytes); };
    met = meet_in_ring ? 0 : take(met_bytes);
    barriers = take(kBarrierBytes * stages + kBehindBarriers);
    masks = take(call.mixed ? 4 * kMaskWords : 0);
    scales = take(kValueBytes);
    row_leaves = take(call.n * call.num_leaves * static_cast<int>(sizeof(RowLeaf)));
    bytes = std::max(end, ring_end + kBehindRing);
    // A stage is free when the next one's products have begun.
    if (stages < std::min(2, needed) || bytes > kSharedBytes) {
      throw std::logic_error("streamed: " + std::to_string(stages) + " stages of " +
                             std::to_string(needed) + " in " + std::to_string(bytes) + " bytes");
    }
  }
};

// What a block takes of a call, and where it has it in shared memory.
class Piece {
 public:
  __device__ Piece(const LinearCall& call, const Plan& plan)
      : call_(call),
        plan_(plan),
        tile_(static_cast<int>(blockIdx.x) / plan.cluster),
        rank_(static_cast<int>(blockIdx.x) % plan.cluster) {}

 protected:
  static __device__ int lane() { return static_cast<int>(threadIdx.x) % 32; }
  static __device__ int group() { return static_cast<int>(threadIdx.x) / 128; }

  __device__ int input_bytes() const { return plan_.row_tile * kSpan; }  // of one digit of a span
  __device__ std::byte* weights(int stage, int j) const {
    return dynamic_shared() + stage * plan_.stage_bytes + j * plan_.width * kSpan;
  }
  __device__ std::byte* inputs(int stage, int j) const {
    return weights(stage, plan_.spans) + j * input_bytes();
  }
  __device__ std::byte* high_inputs(int stage, int j) const {
    return inputs(stage, plan_.spans + j);
  }
  // Barriers of a stage.
  __device__ uint64_t* weights_there(int stage) const {
    return reinterpret_cast<uint64_t*>(dynamic_shared() + plan_.barriers) + 4 * stage;
  }
  __device__ uint64_t* inputs_there(int stage) const { return weights_there(stage) + 1; }
  __device__ uint64_t* high_inputs_there(int stage) const { return weights_there(stage) + 2; }
  __device__ uint64_t* empty(int stage) const { return weights_there(stage) + 3; }
  __device__ int2* unused() const {
    return reinterpret_cast<int2*>(weights_there(plan_.stages) + 1);
  }
  __device__ uint64_t* predecessor_ended() const { return weights_there(plan_.stages); }
  __device__ uint32_t* masks() const {
    return reinterpret_cast<uint32_t*>(dynamic_shared() + plan_.masks);
  }
  __device__ bool flagged(int span) const { return (masks()[span / 32] >> span % 32 & 1) != 0; }
  // The scales of the block's outputs, then their biases.
  __device__ float* output_values() const {
    return reinterpret_cast<float*>(dynamic_shared() + plan_.scales);
  }
  __device__ RowLeaf* row_leaves() const {
    return reinterpret_cast<RowLeaf*>(dynamic_shared() + plan_.row_leaves);
  }
  // Sums of the pair of outputs at `column` of this block's part, as block `from` hands them over.
  __device__ int2* met(int from, int high, int row, int column) const {
    const int at = ((from * plan_.digits + high) * plan_.row_tile + row) * plan_.pitch + column;
    return reinterpret_cast<int2*>(dynamic_shared() + plan_.met + at * 4);
  }

  // The cluster's sums of this block's part of the outputs become values of the first n rows; with
  // kValues they are that already. Bias and activation, and to where they belong if they are not
  // padding; a root that others are added to has neither. Spread over the warp groups' threads.
  // `real`: else it goes through one row for nothing.
  template <bool kMixed, bool kValues>
  __device__ void finish_part(int root, int n, bool real) const {
    with_activation(
        call_.num_roots == 1 ? call_.activation : Activation::kNone,
        [&](auto activation) { finish_part<kMixed, kValues, activation()>(root, n, real); });
  }
  template <bool kMixed, bool kValues, Activation kActivation>
  __device__ void finish_part(int root, int n, bool real) const {
    constexpr bool kHigh = kMixed && !kValues;
    const int thread = static_cast<int>(threadIdx.x) % kMultiplyThreads;
    const int pair = thread & ((1 << plan_.pair_shift) - 1);
    const int column = ((pair / 4 << plan_.cluster_shift) + rank_) * 8 + pair % 4 * 2;
    const int output = tile_ * plan_.width + column;
    if (column >= plan_.width || output >= call_.rows) return;
    const bool whole = call_.out_features % 2 == 0, alone = output + 1 >= call_.rows;
    const int first = thread >> plan_.pair_shift, step = kMultiplyThreads >> plan_.pair_shift;
    // Nobody writes what is read for nothing.
    const auto* values = real ? output_values() + column : reinterpret_cast<float*>(unused());
    const float2 scale = *reinterpret_cast<const float2*>(values);
    const float2 bias = *reinterpret_cast<const float2*>(values + (real ? plan_.width : 0));
    const int2* from = real ? met(0, 0, first, 2 * pair) : unused();
    const RowLeaf* rows = real ? row_leaves() + first : reinterpret_cast<RowLeaf*>(unused());
    float* to = result_place(call_, first, output, root);
    const int from_step = step * plan_.pitch / 2, to_step = step * call_.out_features;
    const int digit = real ? plan_.row_tile * plan_.pitch / 2 : 0;
    const int block = digit * plan_.digits, second = plan_.cluster > 1 ? block : 0;
#pragma unroll 4
    for (int row = first; row < n; row += step, from += from_step, rows += step, to += to_step) {
      int2 low = from[0], high{};
      if constexpr (kHigh) high = from[digit];
      if (plan_.cluster > 1) {
        low = sum(low, from[second]);
        if constexpr (kHigh) high = sum(high, from[second + digit]);
      }
      float2 value = make_float2(__int_as_float(low.x), __int_as_float(low.y));
      if constexpr (!kValues) {
        const RowLeaf of = *rows;
        value = make_float2(leaf_value(low.x, high.x, of.outliers, of.scale, scale.x),
                            leaf_value(low.y, high.y, of.outliers, of.scale, scale.y));
      }
      value.x = activate(kActivation, value.x + bias.x, value.y + bias.y);
      if constexpr (kActivation == Activation::kSiluGate) {
        if (real) *to = value.x;
      } else {
        value.y = activate(kActivation, value.y + bias.y, 0.0f);
        if (real && whole) {
          *reinterpret_cast<float2*>(to) = value;
        } else if (real) {
          to[0] = value.x;
          if (!alone) to[1] = value.y;
        }
      }
    }
  }
  static __device__ int2 sum(const int2& a, const int2& b) {
    return make_int2(a.x + b.x, a.y + b.y);
  }

  const LinearCall& call_;
  const Plan& plan_;
  const int tile_, rank_;
};

}  // namespace octet::cuda::streamed
