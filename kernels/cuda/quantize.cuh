// Quantises one slice of one row with all threads of a block; what quantize.cu and the fused norm
// share, so that both give the same bits.
#pragma once

#include <cfloat>

#include "kernels/cuda/block_reduce.cuh"
#include "kernels/cuda/held_row.cuh"
#include "kernels/cuda/quantize.h"

namespace octet::cuda {

// Groups of a thread that lie in shared memory at a time while magnitudes are added.
template <int kGroups>
inline constexpr int kPieceGroups = kGroups < 8 ? kGroups : 8;

// Dynamic shared memory of quantize_slice, from its begin on.
template <int kGroups, int kPiece = kPieceGroups<kGroups>>
__host__ __device__ size_t quantize_shared_bytes(bool mixed, unsigned threads) {
  return mixed ? kPiece * threads * sizeof(Four) : 0;
}

// The sum in the order of backend.h; pieces of the row pass through shared memory.
template <int kPiece, int kGroups>
__device__ float sum_of_magnitudes(const HeldRow<kGroups>& row, int n) {
  constexpr int kEach = kMagnitudeChains / 32;
  __shared__ float chains[kMagnitudeChains];
  auto* piece = reinterpret_cast<Four*>(dynamic_shared());
  const auto* values = reinterpret_cast<const float*>(piece);
  const int threads = static_cast<int>(blockDim.x), columns = kPiece * 4 * threads;
#pragma unroll
  for (int first = 0; first < kGroups; first += kPiece) {
    if (first > 0) __syncthreads();
#pragma unroll
    for (int i = 0; i < kPiece; ++i) piece[row.group(i)] = row.x[first + i];
    __syncthreads();
    const int left = min(columns, n - first / kPiece * columns);
    for (int chain = threadIdx.x; chain < kMagnitudeChains; chain += threads) {
      float sum = first == 0 ? 0.0f : chains[chain];
#pragma unroll 16
      for (int k = chain; k < left; k += kMagnitudeChains) sum += fabsf(values[k]);
      chains[chain] = sum;
    }
  }
  __syncthreads();
  float sums[kEach];  // every warp adds them all
#pragma unroll
  for (int i = 0; i < kEach; ++i) sums[i] = chains[i * 32 + threadIdx.x % 32];
#pragma unroll
  for (int half = kEach / 2; half > 0; half /= 2) {
#pragma unroll
    for (int i = 0; i < half; ++i) sums[i] += sums[i + half];
  }
  for (int offset = 16; offset > 0; offset /= 2) {
    sums[0] += __shfl_xor_sync(0xffffffffu, sums[0], offset);
  }
  return sums[0];
}

// The low byte is the integer nearest to a value of [-127, 127], ties to even.
__device__ inline uint32_t rounded(float value) { return __float_as_uint(value + 12582912.0f); }

__device__ inline uint32_t low_bytes(const uint32_t (&x)[4]) {
  return __byte_perm(__byte_perm(x[0], x[1], 0x0040), __byte_perm(x[2], x[3], 0x0040), 0x5410);
}

// What is an outlier: all of `limit` and more. Two limits where it is not known yet which of the
// elements between them are.
struct OutlierLimits {
  float least, most;
};

// The sum in any order, `rough`, is near enough for all rows but those with an element within a
// ten-thousandth of the limit: both sums together are off by less than a tenth of that, some 160
// roundings of 2^-24.
__device__ inline OutlierLimits rough_limits(const QuantizeCall& call, float rough, int n) {
  constexpr float kOff = 1e-4f;
  if (!(rough < FLT_MAX / 2)) return {0.0f, INFINITY};  // perhaps no finite sum
  const float limit = kOutlierRatio * (rough / static_cast<float>(n));
  return {fminf(limit * (1 - kOff), call.outlier_threshold),
          fminf(limit * (1 + kOff), call.outlier_threshold)};
}

// Which elements pass a limit.
struct Split {
  uint32_t groups = 0;   // of this thread: bit i where one in group i does
  bool unclear = false;  // some of this thread's are between the limits
  float below = 0;       // the largest magnitude of this thread's others
};
template <int kGroups>
__device__ Split split_at(const OutlierLimits& limits, const HeldRow<kGroups>& held) {
  Split split;
#pragma unroll
  for (int i = 0; i < kGroups; ++i) {
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const float size = fabsf(held.x[i].x[j]);
      if (size < limits.least) {
        split.below = fmaxf(split.below, size);
      } else {
        split.groups |= 1u << i;
        split.unclear |= size < limits.most;
      }
    }
  }
  return split;
}

// held: the slice. Every thread of the block calls it.
template <int kGroups, int kPiece = kPieceGroups<kGroups>>
__device__ void quantize_slice(const QuantizeCall& call, int row, int leaf,
                               const HeldRow<kGroups>& held) {
  __shared__ uint32_t greatest[kReduceSlots], greatest_below[kReduceSlots];
  __shared__ float sums[kReduceSlots], unclear[kReduceSlots];
  const int n = call.begin[leaf + 1] - call.begin[leaf];
  const int groups = (call.place[leaf + 1] - call.place[leaf]) / 4;
  const int64_t to = int64_t{row} * call.padded_in + call.place[leaf];
  const int64_t at = int64_t{row} * call.num_leaves + leaf;
  auto* low = reinterpret_cast<uint32_t*>(call.low + to);
  const int64_t first_span = row * span_stride(call.padded_in) + call.place[leaf] / kSpan;
  if (call.mixed) {
    const int64_t end = leaf + 1 < call.num_leaves ? first_span + groups / kSpanGroups
                                                   : (row + 1) * span_stride(call.padded_in);
    for (int64_t i = first_span + threadIdx.x; i < end; i += blockDim.x) call.spans[i] = 0;
  }

  constexpr bool kRough = kGroups < 32;  // else there are no registers for it
  uint32_t most = 0;                     // bits of magnitudes are ordered as they are
  float each[4] = {};
#pragma unroll
  for (int i = 0; i < kGroups; ++i) {
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const float size = fabsf(held.x[i].x[j]);
      most = max(most, __float_as_uint(size));
      if (kRough) each[j] += size;
    }
  }
  if (!kRough && !call.mixed) {
#pragma unroll
    for (int i = 0; i < 4 * kGroups; ++i) each[0] += fabsf(held.x[i / 4].x[i % 4]);
  }
  const auto [absmax, rough] = block_max_and_sum(
      __uint_as_float(most), (each[0] + each[1]) + (each[2] + each[3]), greatest, sums);
  bool finite = rough <= FLT_MAX;
  constexpr float kMost = 127.0f * kHighDigit + 126.0f;
  float limit = INFINITY, below = 0;
  Split split;
  bool any = false;  // are there outliers?
  const OutlierLimits limits = kRough ? rough_limits(call, rough, n) : OutlierLimits{0, INFINITY};
  if (call.mixed && !(absmax < limits.least)) {  // perhaps
    bool clear = false;
    if constexpr (kRough) {
      limit = limits.least;
      split = split_at(limits, held);
      const MaxAndSum all =
          block_max_and_sum(split.below, split.unclear ? 1.0f : 0.0f, greatest_below, unclear);
      below = all.max;
      clear = all.sum == 0;
    }
    if (!clear) {
      const float sum = sum_of_magnitudes<kPiece>(held, n);
      finite = sum <= FLT_MAX;
      limit = fminf(kOutlierRatio * (sum / static_cast<float>(n)), call.outlier_threshold);
      split = split_at({limit, limit}, held);
      below = block_max(split.below, greatest);  // which all have read before the sum
    }
    any = finite && !(absmax < limit) && absmax >= kLeastOutlier;
  }
  float scale = finite ? absmax / 127.0f : nanf("");
  float inverse = absmax >= kLeastAbsmax ? 127.0f / absmax : 0.0f;
  if (any) {
    scale = fmaxf(below / 127.0f, absmax / kMost);
    inverse = 1.0f / scale;
  } else {
    split.groups = 0;
  }
  auto* high = reinterpret_cast<uint32_t*>(call.high + to);
#pragma unroll
  for (int i = 0; i < kGroups; ++i) {
    if (held.group(i) >= groups) continue;
    uint32_t digits[4];
#pragma unroll
    for (int j = 0; j < 4; ++j) digits[j] = rounded(held.x[i].x[j] * inverse);
    low[held.group(i)] = low_bytes(digits);  // of any use only where the scale is a number
    if (any) high[held.group(i)] = 0;
  }
  int count = 0;
#pragma unroll 1
  for (; split.groups != 0; split.groups &= split.groups - 1) {
    const int which = __ffs(static_cast<int>(split.groups)) - 1, group = held.group(which);
    Four four = held.x[0];
#pragma unroll
    for (int i = 1; i < kGroups; ++i) {
      if (i == which) four = held.x[i];
    }
    uint32_t lows[4], highs[4];
    int outliers = 0;
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      float q = four.x[j] * inverse, digit = 0;
      if (!(fabsf(four.x[j]) < limit) && 4 * group + j < n) {
        q = rintf(fminf(fmaxf(q, -kMost), kMost));
        digit = rintf(q * (1.0f / kHighDigit));  // as of the quotient, for all of these integers
        q -= kHighDigit * digit;
        ++outliers;
      }
      lows[j] = rounded(q);
      highs[j] = rounded(digit);
    }
    if (outliers == 0) continue;  // behind the end
    low[group] = low_bytes(lows);
    high[group] = low_bytes(highs);
    call.spans[first_span + group / kSpanGroups] = 1;  // cleared before the last barrier
    count += outliers;
  }
  if (threadIdx.x == 0) {
    call.row_scales[at] = scale;
    if (call.mixed) call.outliers[at] = any;
  }
  if (!any) return;
  count = __reduce_add_sync(0xffffffffu, count);
  if (threadIdx.x % 32 == 0 && count > 0) {
    atomicAdd(call.total_outliers, static_cast<unsigned long long>(count));
  }
}

}  // namespace octet::cuda
