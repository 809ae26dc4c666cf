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

// With few rows the memory of one multiprocessor is slow: weights and biases, which no kernel
// writes, are fetched to shared memory while the kernel in front ends.
constexpr int kFewRows = 32;
constexpr size_t kMostAhead = size_t{96} << 10;

// A thread reads only what it fetched itself.
template <int kGroups>
__device__ void fetch_row(const float* row, int n, Four* to) {
#pragma unroll
  for (int i = 0; i < kGroups; ++i) {
    const int group = HeldRow<kGroups>::group(i);
    if (4 * group < n) copy_async16(to + group, row + 4 * group);
  }
}

// Updates the residual of the block's row; its normalised values to `held`. Waits for the kernel in
// front.
template <int kGroups>
__device__ void normalise_row(const NormCall& call, bool ahead, HeldRow<kGroups>& held) {
  __shared__ float sums[kReduceSlots], sums_of_squares[kReduceSlots];
  const int h = call.h;
  const float *weight = call.weight, *bias = call.bias;
  if (ahead) {
    Four* fetched = reinterpret_cast<Four*>(dynamic_shared());
    fetch_row<kGroups>(weight, h, fetched);
    weight = fetched->x;
    if (bias != nullptr) {
      fetched += kGroups * blockDim.x;
      fetch_row<kGroups>(bias, h, fetched);
      bias = fetched->x;
    }
    commit_copies();
  }
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
  if (weight == nullptr) return;
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
  if (ahead) wait_copies<0>();
  use_rows<kGroups>(
      h,
      [&](int i, const Four& scale, const Four& shift) {
#pragma unroll
        for (int j = 0; j < 4; ++j) {
          held.x[i].x[j] = held.x[i].x[j] * inverse * scale.x[j] + shift.x[j];
        }
      },
      weight, bias);
}

template <int kGroups>
__global__ void __launch_bounds__(kMostThreads<kGroups>, kLeastBlocks<kGroups>)
    norm_kernel(NormCall call, bool ahead) {
  let_successor_start();
  HeldRow<kGroups> held;
  normalise_row(call, ahead, held);
  if (call.weight != nullptr) store_row(call.out + int64_t{blockIdx.x} * call.h, call.h, held);
}

template <int kGroups>
__global__ void __launch_bounds__(kMostThreads<kGroups>, kLeastBlocks<kGroups>)
    norm_quantize_kernel(NormCall norm, QuantizeCall rows, bool ahead) {
  let_successor_start();
  HeldRow<kGroups> held;
  normalise_row(norm, ahead, held);
  quantize_slice(rows, blockIdx.x, 0, held);
}

// Shared memory for fetching ahead; 0: it is not done.
size_t ahead_bytes(const NormCall& call, size_t bytes_of_row) {
  const auto aligned = [](const float* p) { return reinterpret_cast<uintptr_t>(p) % 16 == 0; };
  const bool can = call.n <= kFewRows && call.weight != nullptr && call.h % 4 == 0 &&
                   aligned(call.weight) && aligned(call.bias) && 2 * bytes_of_row <= kMostAhead;
  return can ? 2 * bytes_of_row : 0;
}

}  // namespace

void add_norm(const NormCall& call, cudaStream_t stream) {
  if (call.n == 0 || call.h == 0) return;
  hold_rows<kWidestNorm>(call.h, [&](auto groups, unsigned threads) {
    const size_t ahead = ahead_bytes(call, groups() * threads * sizeof(Four));
    launch(norm_kernel<groups()>, dim3(call.n), dim3(threads), ahead, stream, call, ahead > 0);
  });
}

void add_norm_quantized(const NormCall& norm, const QuantizeCall& rows, cudaStream_t stream) {
  if (norm.n == 0 || norm.h == 0) return;
  hold_rows<kWidestNorm>(norm.h, [&](auto groups, unsigned threads) {
    const size_t ahead = ahead_bytes(norm, groups() * threads * sizeof(Four));
    launch(norm_quantize_kernel<groups()>, dim3(norm.n), dim3(threads),
           std::max(ahead, quantize_shared_bytes<groups()>(rows.mixed, threads)), stream, norm,
           rows, ahead > 0);
  });
}

}  // namespace octet::cuda
