// add_norm: one block of threads a row.
#include <algorithm>

#include "kernels/cuda/block_reduce.cuh"
#include "kernels/cuda/ops.h"
#include "kernels/cuda/quantize.cuh"

namespace octet::cuda {
namespace {

__device__ Four sum(const Four& a, const Four& b) {
  Four c;
#pragma unroll
  for (int j = 0; j < 4; ++j) c.x[j] = a.x[j] + b.x[j];
  return c;
}

__device__ float total(const Four& a) { return (a.x[0] + a.x[1]) + (a.x[2] + a.x[3]); }

// Weights and biases, which no kernel writes, come to L2 while the kernel in front ends.
constexpr int kFewRows = 64;
constexpr int kLine = 128 / sizeof(float);

__device__ void prefetch_row(const float* row, int n) {
  if (row == nullptr || gridDim.x > kFewRows) return;
  for (int k = static_cast<int>(threadIdx.x) * kLine; k < n; k += blockDim.x * kLine) {
    prefetch_line(row + k);
  }
}

// Updates the residual of the block's row; its normalised values to `held`. Waits for the kernel in
// front.
template <int kGroups>
__device__ void normalise_row(const NormCall& call, HeldRow<kGroups>& held) {
  __shared__ float sums[kReduceSlots], sums_of_squares[kReduceSlots];
  const int h = call.h;
  prefetch_row(call.weight, h);
  prefetch_row(call.bias, h);
  wait_for_predecessor();
  const int64_t row = int64_t{blockIdx.x} * h;
  const float* delta = call.delta == nullptr ? nullptr : call.delta + row;
  const float* delta_bias = call.delta == nullptr ? nullptr : call.delta_bias;
  use_rows<kGroups>(
      h,
      [&](int i, const Four& old, const Four& more, const Four& bias) {
        held.x[i] = sum(old, sum(more, bias));
      },
      call.residual + row, delta, delta_bias);
  if (delta != nullptr) store_row(call.residual + row, h, held);
  if (call.weight == nullptr) return;
  const float count = static_cast<float>(h);
  if (call.kind == NormKind::kLayer) {
    Four totals{};
#pragma unroll
    for (int i = 0; i < kGroups; ++i) totals = sum(totals, held.x[i]);
    const float mean = block_sum(total(totals), sums) / count;
#pragma unroll
    for (int i = 0; i < kGroups; ++i) {
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        if (4 * held.group(i) + j < h) held.x[i].x[j] -= mean;
      }
    }
  }
  Four squares{};
#pragma unroll
  for (int i = 0; i < kGroups; ++i) {
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      squares.x[j] = fmaf(held.x[i].x[j], held.x[i].x[j], squares.x[j]);
    }
  }
  const float inverse = 1.0f / sqrtf(block_sum(total(squares), sums_of_squares) / count + call.eps);
  use_rows<kGroups>(
      h,
      [&](int i, const Four& scale, const Four& shift) {
#pragma unroll
        for (int j = 0; j < 4; ++j) {
          held.x[i].x[j] = held.x[i].x[j] * inverse * scale.x[j] + shift.x[j];
        }
      },
      call.weight, call.bias);
}

template <int kGroups>
__global__ void __launch_bounds__(kMostThreads<kGroups>, kLeastBlocks<kGroups>)
    norm_kernel(NormCall call) {
  let_successor_start();
  HeldRow<kGroups> held;
  normalise_row(call, held);
  if (call.weight != nullptr) store_row(call.out + int64_t{blockIdx.x} * call.h, call.h, held);
}

template <int kGroups>
__global__ void __launch_bounds__(kMostThreads<kGroups>, kLeastBlocks<kGroups>)
    norm_quantize_kernel(NormCall norm, QuantizeCall rows) {
  let_successor_start();
  HeldRow<kGroups> held;
  normalise_row(norm, held);
  quantize_slice(rows, blockIdx.x, 0, held);
}

}  // namespace

void add_norm(const NormCall& call, cudaStream_t stream) {
  if (call.n == 0 || call.h == 0) return;
  hold_rows<kWidestNorm>(call.h, [&](auto groups, unsigned threads) {
    launch(norm_kernel<groups()>, dim3(call.n), dim3(threads), 0, stream, call);
  });
}

void add_norm_quantized(const NormCall& norm, const QuantizeCall& rows, cudaStream_t stream) {
  if (norm.n == 0 || norm.h == 0) return;
  hold_rows<kWidestNorm>(norm.h, [&](auto groups, unsigned threads) {
    launch(norm_quantize_kernel<groups()>, dim3(norm.n), dim3(threads),
           quantize_shared_bytes<groups()>(rows.mixed, threads), stream, norm, rows);
  });
}

}  // namespace octet::cuda
