// Quantises one slice of one row with all threads of a block; what quantize.cu and the fused norm
// share, so that both give the same bits.
#pragma once

#include <cfloat>

#include "kernels/cuda/block_reduce.cuh"
#include "kernels/cuda/quantize.h"

namespace octet::cuda {

// Floats of shared memory that quantize_slice needs.
inline constexpr int kQuantizeShared = kMagnitudeChains + kReduceFloats;

// The sum in the order of backend.h. `shared`: kMagnitudeChains floats.
__device__ inline float sum_of_magnitudes(const float* x, int n, float* shared) {
  for (int chain = threadIdx.x; chain < kMagnitudeChains; chain += blockDim.x) {
    float sum = 0;
#pragma unroll 8
    for (int k = chain; k < n; k += kMagnitudeChains) sum += fabsf(x[k]);
    shared[chain] = sum;
  }
  __syncthreads();
  for (int half = kMagnitudeChains / 2; half > 0; half /= 2) {
    for (int i = threadIdx.x; i < half; i += blockDim.x) shared[i] += shared[i + half];
    __syncthreads();
  }
  return shared[0];
}

__device__ inline int8_t to_int8(float value) {
  return static_cast<int8_t>(static_cast<int>(rintf(value)));
}

// x: the slice, n columns. Every thread of the block calls it.
__device__ inline void quantize_slice(const QuantizeCall& call, int row, int leaf, const float* x,
                                      float* shared) {
  const int n = call.begin[leaf + 1] - call.begin[leaf];
  const int padded = call.place[leaf + 1] - call.place[leaf];
  const int64_t to = int64_t{row} * call.padded_in + call.place[leaf];
  const int64_t at = int64_t{row} * call.num_leaves + leaf;
  const int64_t first_span = row * span_stride(call.padded_in) + call.place[leaf] / kSpan;
  float* reduce = shared + kMagnitudeChains;

  float absmax = 0, sum = 0;
  for (int k = threadIdx.x; k < n; k += blockDim.x) {
    absmax = fmaxf(absmax, fabsf(x[k]));
    sum += fabsf(x[k]);
  }
  absmax = block_max(absmax, reduce);
  // Without outliers it only tells whether all is finite, and any order will do.
  sum = call.mixed ? sum_of_magnitudes(x, n, shared) : block_sum(sum, reduce);

  int8_t* low = call.low + to;
  if (call.mixed) {
    const int64_t end = leaf + 1 < call.num_leaves ? first_span + padded / kSpan
                                                   : (row + 1) * span_stride(call.padded_in);
    for (int64_t i = first_span + threadIdx.x; i < end; i += blockDim.x) call.spans[i] = 0;
  }
  if (!(sum <= FLT_MAX)) {  // an infinity or a NaN
    for (int k = threadIdx.x; k < padded; k += blockDim.x) low[k] = 0;
    if (threadIdx.x == 0) {
      call.row_scales[at] = nanf("");
      if (call.mixed) call.outliers[at] = 0;
    }
    return;
  }
  float limit = INFINITY;
  if (call.mixed) {
    limit = fminf(kOutlierRatio * (sum / static_cast<float>(n)), call.outlier_threshold);
  }
  if (absmax < limit || absmax == 0) {
    const float inverse = absmax >= kLeastAbsmax ? 127.0f / absmax : 0.0f;
    for (int k = threadIdx.x; k < padded; k += blockDim.x) {
      low[k] = k < n ? to_int8(x[k] * inverse) : int8_t{0};
    }
    if (threadIdx.x == 0) {
      call.row_scales[at] = absmax / 127.0f;
      if (call.mixed) call.outliers[at] = 0;
    }
    return;
  }

  float below = 0;
  for (int k = threadIdx.x; k < n; k += blockDim.x) {
    const float size = fabsf(x[k]);
    if (size < limit) below = fmaxf(below, size);
  }
  below = block_max(below, reduce);  // its barrier also ends the clearing of spans
  constexpr float kMost = 127.0f * kHighDigit + 126.0f;
  const float scale = fmaxf(below / 127.0f, absmax / kMost);
  const float inverse = 1.0f / scale;
  int count = 0;
  int8_t* high = call.high + to;
  for (int k = threadIdx.x; k < padded; k += blockDim.x) {
    const float value = k < n ? x[k] : 0.0f;
    if (k >= n || fabsf(value) < limit) {
      low[k] = to_int8(value * inverse);
      high[k] = 0;
      continue;
    }
    const float q = rintf(fminf(fmaxf(value * inverse, -kMost), kMost));
    const float digit = rintf(q / static_cast<float>(kHighDigit));
    high[k] = static_cast<int8_t>(static_cast<int>(digit));
    low[k] = static_cast<int8_t>(static_cast<int>(q - kHighDigit * digit));
    call.spans[first_span + k / kSpan] = 1;
    ++count;
  }
  const int outliers = block_sum(count, reinterpret_cast<int*>(reduce));
  if (threadIdx.x == 0) {
    call.row_scales[at] = scale;
    call.outliers[at] = outliers;
    atomicAdd(call.total_outliers, static_cast<unsigned long long>(outliers));
  }
}

}  // namespace octet::cuda
