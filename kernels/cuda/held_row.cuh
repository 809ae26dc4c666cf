// A row, or a slice of one, in the registers of a block, so that memory is read once: thread t has
// the groups of four columns t, t + threads, ..., with zeros behind the end. How many groups and
// threads follows from the width alone.
#pragma once

#include <type_traits>

#include "kernels/cuda/device.cuh"
#include "kernels/cuda/linear_call.h"

namespace octet::cuda {

inline constexpr int kSpanGroups = kSpan / 4;

struct alignas(16) Four {
  float x[4];
};

template <int kGroups>
struct HeldRow {
  Four x[kGroups];

  __device__ static int group(int i) { return static_cast<int>(threadIdx.x + i * blockDim.x); }
};

template <int kGroups>
inline constexpr int kMostThreads = kGroups == 8 ? 384 : 512;
// Of a multiprocessor, at least two: one loads while the other computes.
template <int kGroups>
inline constexpr int kLeastBlocks = kGroups <= 2   ? 3
                                    : kGroups <= 8 ? 2
                                                   : 1;
template <int kGroups>
inline constexpr int kMostColumns = 4 * kGroups* kMostThreads<kGroups>;

__host__ __device__ inline bool in_fours(const float* row, int n) {
  return n % 4 == 0 && reinterpret_cast<uintptr_t>(row) % sizeof(Four) == 0;
}

__device__ inline Four four_at(const float* row, int n, int k) {
  Four four;
#pragma unroll
  for (int j = 0; j < 4; ++j) four.x[j] = row != nullptr && k + j < n ? row[k + j] : 0.0f;
  return four;
}

// Calls use(i, fours...) with what each of the rows has in the columns of this thread's group i;
// a null row is zeros.
template <int kGroups, typename Use, typename... Rows>
__device__ void use_rows(int n, const Use& use, const Rows*... rows) {
  if ((in_fours(rows, n) && ...)) {
#pragma unroll
    for (int i = 0; i < kGroups; ++i) {
      const int k = 4 * HeldRow<kGroups>::group(i);
      use(i, (rows != nullptr && k < n ? *reinterpret_cast<const Four*>(rows + k) : Four{})...);
    }
    return;
  }
#pragma unroll
  for (int i = 0; i < kGroups; ++i) {
    use(i, four_at(rows, n, 4 * HeldRow<kGroups>::group(i))...);
  }
}

template <int kGroups>
__device__ void store_row(float* row, int n, const HeldRow<kGroups>& held) {
  const bool whole = in_fours(row, n);
#pragma unroll
  for (int i = 0; i < kGroups; ++i) {
    const int k = 4 * held.group(i);
    if (whole) {
      if (k < n) *reinterpret_cast<Four*>(row + k) = held.x[i];
      continue;
    }
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      if (k + j < n) row[k + j] = held.x[i].x[j];
    }
  }
}

// Calls run(std::integral_constant<int, kGroups>, threads) for rows of so many columns, padded to a
// whole span. kWidest: no kernel for wider ones is made.
template <int kWidest, int kGroups = 1, typename Run>
void hold_rows(int columns, const Run& run) {
  if constexpr (kMostColumns<kGroups> < kWidest) {
    if (columns > kMostColumns<kGroups>) return hold_rows<kWidest, 2 * kGroups>(columns, run);
  }
  const int groups = (columns + kSpan - 1) / kSpan * kSpanGroups;
  const int threads = (groups + kGroups - 1) / kGroups;
  run(std::integral_constant<int, kGroups>(),
      static_cast<unsigned>(threads <= 32 ? 32 : (threads + 31) / 32 * 32));
}

}  // namespace octet::cuda
