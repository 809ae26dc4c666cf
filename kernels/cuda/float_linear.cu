#include "kernels/cuda/epilogue.cuh"
#include "kernels/cuda/float_linear.h"
#include "kernels/cuda/numbers.cuh"

namespace octet::cuda {
namespace {

constexpr int kWarps = 8;  // outputs of a block
constexpr int kRows = 8;   // rows of a block: the weights are read once for them
constexpr int kGroup = 8;  // columns that a lane takes at a time

// `count` of the group's columns; zeros behind. kWhole: all of them, and `from` is 16-byte aligned.
template <bool kWhole, typename T>
__device__ void load_group(const T* from, int count, float (&values)[kGroup]) {
  if constexpr (kWhole) {
    alignas(16) T raw[kGroup];
    if constexpr (sizeof raw >= 16) {
#pragma unroll
      for (size_t i = 0; i < sizeof raw / 16; ++i) {
        reinterpret_cast<uint4*>(raw)[i] = reinterpret_cast<const uint4*>(from)[i];
      }
    } else {
      *reinterpret_cast<uint2*>(raw) = *reinterpret_cast<const uint2*>(from);
    }
#pragma unroll
    for (int i = 0; i < kGroup; ++i) values[i] = to_float(raw[i]);
  } else {
#pragma unroll
    for (int i = 0; i < kGroup; ++i) values[i] = i < count ? to_float(from[i]) : 0.0f;
  }
}

// Lane l gets the sum of row `row + l` (l < rows) for one leaf and weight row.
template <bool kAligned, typename T>
__device__ float leaf_sum(const FloatLinearCall& call, const T* weight, int row, int rows,
                          int leaf) {
  const int lane = threadIdx.x, end = call.begin[leaf + 1];
  float sums[kRows] = {};
  for (int k = call.begin[leaf] + lane * kGroup; k < end; k += 32 * kGroup) {
    float w[kGroup], x[kGroup];
    const int count = min(kGroup, end - k);
    const bool whole = kAligned && count == kGroup;
    if (whole) {
      load_group<true>(weight + k, kGroup, w);
    } else {
      load_group<false>(weight + k, count, w);
    }
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      if (r >= rows) break;
      const float* line = call.x + int64_t{row + r} * call.in + k;
      if (whole) {
        load_group<true>(line, kGroup, x);
      } else {
        load_group<false>(line, count, x);
      }
#pragma unroll
      for (int i = 0; i < kGroup; ++i) {
        if (i < count) sums[r] = fmaf(x[i], w[i], sums[r]);
      }
    }
  }
  float mine = 0;
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
    float sum = sums[r];
    for (int offset = 16; offset > 0; offset /= 2) {
      sum += __shfl_xor_sync(0xffffffffu, sum, offset);
    }
    if (lane == r) mine = sum;
  }
  return mine;
}

template <bool kAligned, typename T>
__device__ float row_value(const FloatLinearCall& call, int weight_row, int row, int rows,
                           int root) {
  const T* weight = static_cast<const T*>(call.weight) + int64_t{weight_row} * call.in;
  LeafFold fold;
  for (int leaf = call.first_leaf[root]; leaf < call.first_leaf[root + 1]; ++leaf) {
    const float sum = leaf_sum<kAligned>(call, weight, row, rows, leaf);
    fold.push(call.scales == nullptr ? sum : sum * call.scales[weight_row]);
  }
  return fold.result() + (call.bias == nullptr ? 0.0f : call.bias[weight_row]);
}

template <bool kAligned, typename T>
__global__ void __launch_bounds__(32 * kWarps) float_linear_kernel(FloatLinearCall call) {
  let_successor_start();
  wait_for_predecessor();
  const int row = blockIdx.x * kRows, rows = min(kRows, call.n - row);
  const int column = blockIdx.y * kWarps + threadIdx.y, root = blockIdx.z;
  if (column >= call.out_features) return;
  const float value = row_value<kAligned, T>(call, column, row, rows, root);
  float up = 0;
  if (call.activation == Activation::kSiluGate) {
    up = row_value<kAligned, T>(call, call.out_features + column, row, rows, root);
  }
  const int lane = threadIdx.x;
  if (lane < rows) {
    call.out[(int64_t{root} * call.n + row + lane) * call.out_features + column] =
        activate(call.activation, value, up);
  }
}

template <typename T>
void launch_for(const FloatLinearCall& call, cudaStream_t stream) {
  bool aligned = call.in % 16 == 0;
  for (int l = 0; l < call.num_leaves; ++l) aligned = aligned && call.begin[l] % 16 == 0;
  launch(
      aligned ? float_linear_kernel<true, T> : float_linear_kernel<false, T>,
      dim3((call.n + kRows - 1) / kRows, (call.out_features + kWarps - 1) / kWarps, call.num_roots),
      dim3(32, kWarps), 0, stream, call);
}

}  // namespace

void float_linear(const FloatLinearCall& call, cudaStream_t stream) {
  if (call.n == 0 || call.out_features == 0 || call.num_roots == 0) return;
  switch (call.dtype) {
    case DType::kI8:
      return launch_for<int8_t>(call, stream);
    case DType::kBF16:
      return launch_for<__nv_bfloat16>(call, stream);
    case DType::kF16:
      return launch_for<__half>(call, stream);
    default:
      return launch_for<float>(call, stream);
  }
}

}  // namespace octet::cuda
