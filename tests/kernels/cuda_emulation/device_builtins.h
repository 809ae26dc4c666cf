// What CUDA C++ has without an include: qualifiers, indices, vector types, warp functions, atomics
// and arithmetic, as far as the project's kernels use them. Rounding is IEEE's, as on the device
// without --use_fast_math; compile the device side with -fmad=false to have the same bits.
#pragma once

#include <atomic>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>

#include "tests/kernels/cuda_emulation/grid.h"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __noinline__
#define __grid_constant__
#define __constant__ static
#define __shared__ static thread_local  // a block runs on one OS thread; not filled at its start
#define __launch_bounds__(...)
#define __align__(n) alignas(n)
#define threadIdx (::cuda_emulation::current->index)
#define blockIdx (::cuda_emulation::current->block->index)
#define blockDim (::cuda_emulation::current->block->size)
#define gridDim (::cuda_emulation::current->block->grid_size)

using dim3 = cuda_emulation::Dim3;

#define CUDA_EMULATION_VECTORS(T, name, half, full)          \
  struct alignas(half) name##2 {                             \
    T x, y;                                                  \
  };                                                         \
  struct alignas(full) name##4 {                             \
    T x, y, z, w;                                            \
  };                                                         \
  inline name##2 make_##name##2(T x, T y) { return {x, y}; } \
  inline name##4 make_##name##4(T x, T y, T z, T w) { return {x, y, z, w}; }
CUDA_EMULATION_VECTORS(int, int, 8, 16)
CUDA_EMULATION_VECTORS(unsigned, uint, 8, 16)
CUDA_EMULATION_VECTORS(float, float, 8, 16)
CUDA_EMULATION_VECTORS(signed char, char, 2, 4)
CUDA_EMULATION_VECTORS(unsigned char, uchar, 2, 4)
CUDA_EMULATION_VECTORS(unsigned short, ushort, 4, 8)
#undef CUDA_EMULATION_VECTORS

// Barriers and fences.
inline void __syncthreads(cuda_emulation::Site site = cuda_emulation::Site::current()) {
  cuda_emulation::current->block->barrier_sync(0, 0, site);
}
inline void __syncwarp(unsigned mask = cuda_emulation::kAllLanes,
                       cuda_emulation::Site site = cuda_emulation::Site::current()) {
  int nothing = 0;
  cuda_emulation::meet(mask, "__syncwarp", site, nothing, [](auto&) {});
}
inline void __threadfence() { std::atomic_thread_fence(std::memory_order_seq_cst); }
inline void __threadfence_block() {}
inline void __threadfence_system() { __threadfence(); }
inline void __nanosleep(unsigned) {}

// Warp shuffles and votes.
namespace cuda_emulation {

// What lane `from` of the warp brought.
template <typename T>
T shuffle(unsigned mask, T value, unsigned from, const char* what, Site site) {
  struct Lane {
    T value, result;
    unsigned from;
  } mine{value, value, from};
  meet(mask, what, site, mine, [&](auto& lanes) {
    for (Lane* lane : lanes) {
      if (lane == nullptr) continue;
      if (lanes[lane->from] == nullptr) current->block->fail("a shuffle reads outside of its mask");
      lane->result = lanes[lane->from]->value;
    }
  });
  return mine.result;
}

// Some fold over what the lanes of the mask brought, given to all of them.
template <typename T, typename Fold>
T fold(unsigned mask, T value, T start, const char* what, Site site, Fold&& step) {
  T mine = value;
  meet(mask, what, site, mine, [&](auto& lanes) {
    T total = start;
    for (unsigned i = 0; i < kWarp; ++i) {
      if (lanes[i] != nullptr) total = step(total, *lanes[i], i);
    }
    for (T* lane : lanes) {
      if (lane != nullptr) *lane = total;
    }
  });
  return mine;
}

}  // namespace cuda_emulation

template <typename T>
T __shfl_sync(unsigned mask, T value, int from, int width = 32,
              cuda_emulation::Site site = cuda_emulation::Site::current()) {
  const unsigned lane = cuda_emulation::current->lane(), w = static_cast<unsigned>(width);
  return cuda_emulation::shuffle(mask, value, lane / w * w + static_cast<unsigned>(from) % w,
                                 "__shfl_sync", site);
}
template <typename T>
T __shfl_xor_sync(unsigned mask, T value, int with, int width = 32,
                  cuda_emulation::Site site = cuda_emulation::Site::current()) {
  const unsigned lane = cuda_emulation::current->lane(), w = static_cast<unsigned>(width);
  const unsigned from = lane ^ static_cast<unsigned>(with);
  return cuda_emulation::shuffle(mask, value, from / w > lane / w ? lane : from, "__shfl_xor_sync",
                                 site);
}
template <typename T>
T __shfl_down_sync(unsigned mask, T value, unsigned by, int width = 32,
                   cuda_emulation::Site site = cuda_emulation::Site::current()) {
  const unsigned lane = cuda_emulation::current->lane(), w = static_cast<unsigned>(width);
  return cuda_emulation::shuffle(mask, value, lane % w + by < w ? lane + by : lane,
                                 "__shfl_down_sync", site);
}
template <typename T>
T __shfl_up_sync(unsigned mask, T value, unsigned by, int width = 32,
                 cuda_emulation::Site site = cuda_emulation::Site::current()) {
  const unsigned lane = cuda_emulation::current->lane(), w = static_cast<unsigned>(width);
  return cuda_emulation::shuffle(mask, value, lane % w >= by ? lane - by : lane, "__shfl_up_sync",
                                 site);
}
inline unsigned __ballot_sync(unsigned mask, int predicate,
                              cuda_emulation::Site site = cuda_emulation::Site::current()) {
  return cuda_emulation::fold<unsigned>(
      mask, predicate != 0, 0u, "__ballot_sync", site,
      [](unsigned all, unsigned one, unsigned lane) { return all | one << lane; });
}
inline int __any_sync(unsigned mask, int predicate,
                      cuda_emulation::Site site = cuda_emulation::Site::current()) {
  return __ballot_sync(mask, predicate, site) != 0;
}
inline int __all_sync(unsigned mask, int predicate,
                      cuda_emulation::Site site = cuda_emulation::Site::current()) {
  return __ballot_sync(mask, predicate, site) == mask;
}
template <typename T>
T __reduce_add_sync(unsigned mask, T value,
                    cuda_emulation::Site site = cuda_emulation::Site::current()) {
  return cuda_emulation::fold<T>(mask, value, T{0}, "__reduce_add_sync", site,
                                 [](T all, T one, unsigned) { return all + one; });
}
template <typename T>
T __reduce_max_sync(unsigned mask, T value,
                    cuda_emulation::Site site = cuda_emulation::Site::current()) {
  return cuda_emulation::fold<T>(mask, value, std::numeric_limits<T>::lowest(), "__reduce_max_sync",
                                 site,
                                 [](T all, T one, unsigned) { return one > all ? one : all; });
}
inline unsigned __reduce_or_sync(unsigned mask, unsigned value,
                                 cuda_emulation::Site site = cuda_emulation::Site::current()) {
  return cuda_emulation::fold<unsigned>(
      mask, value, 0u, "__reduce_or_sync", site,
      [](unsigned all, unsigned one, unsigned) { return all | one; });
}

// Atomics: atomic among OS threads too (ranks that share memory).
template <typename T>
T atomicAdd(T* p, std::type_identity_t<T> value) {
  return std::atomic_ref<T>(*p).fetch_add(value);
}
template <typename T>
T atomicOr(T* p, std::type_identity_t<T> value) {
  return std::atomic_ref<T>(*p).fetch_or(value);
}
template <typename T>
T atomicExch(T* p, std::type_identity_t<T> value) {
  return std::atomic_ref<T>(*p).exchange(value);
}
template <typename T>
T atomicCAS(T* p, std::type_identity_t<T> expected, std::type_identity_t<T> value) {
  std::atomic_ref<T>(*p).compare_exchange_strong(expected, value);
  return expected;
}
template <typename T>
T atomicMax(T* p, std::type_identity_t<T> value) {
  std::atomic_ref<T> at(*p);
  T old = at.load();
  while (old < value && !at.compare_exchange_weak(old, value)) {
  }
  return old;
}
template <typename T>
T atomicMin(T* p, std::type_identity_t<T> value) {
  std::atomic_ref<T> at(*p);
  T old = at.load();
  while (value < old && !at.compare_exchange_weak(old, value)) {
  }
  return old;
}

// Arithmetic.
template <typename T>
T __ldg(const T* p) {
  return *p;
}
template <typename T>
T __ldcs(const T* p) {
  return *p;
}
template <typename T>
T __ldcg(const T* p) {
  return *p;
}
template <typename T>
void __stcs(T* p, T value) {
  *p = value;
}
template <typename T>
constexpr T min(T a, std::type_identity_t<T> b) {
  return b < a ? b : a;
}
template <typename T>
constexpr T max(T a, std::type_identity_t<T> b) {
  return a < b ? b : a;
}
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fsub_rn(float a, float b) { return a - b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __frcp_rn(float a) { return 1.0f / a; }
inline float __fsqrt_rn(float a) { return std::sqrt(a); }
inline float __fmaf_rn(float a, float b, float c) { return std::fma(a, b, c); }
inline float __saturatef(float a) { return a > 1.0f ? 1.0f : a > 0.0f ? a : 0.0f; }
// Out of range: the nearest integer; NaN: 0.
inline int __float2int_rn(float a) {
  if (std::isnan(a)) return 0;
  if (a >= 2147483648.0f) return 2147483647;
  return a < -2147483648.0f ? -2147483647 - 1 : static_cast<int>(std::nearbyint(a));
}
inline int __float2int_rz(float a) { return __float2int_rn(std::trunc(a)); }
inline float __int2float_rn(int a) { return static_cast<float>(a); }
inline int __float_as_int(float a) { return std::bit_cast<int>(a); }
inline unsigned __float_as_uint(float a) { return std::bit_cast<unsigned>(a); }
inline float __int_as_float(int a) { return std::bit_cast<float>(a); }
inline float __uint_as_float(unsigned a) { return std::bit_cast<float>(a); }
inline int __popc(unsigned a) { return std::popcount(a); }
inline int __popcll(unsigned long long a) { return std::popcount(a); }
inline int __clz(int a) { return std::countl_zero(static_cast<unsigned>(a)); }
inline int __ffs(int a) { return a == 0 ? 0 : std::countr_zero(static_cast<unsigned>(a)) + 1; }
inline unsigned __umulhi(unsigned a, unsigned b) {
  return static_cast<unsigned>(static_cast<uint64_t>(a) * b >> 32);
}
inline int __mulhi(int a, int b) { return static_cast<int>(static_cast<int64_t>(a) * b >> 32); }
inline int __dp4a(int a, int b, int sum) {
  for (int i = 0; i < 4; ++i) {
    sum += static_cast<int8_t>(a >> 8 * i) * static_cast<int8_t>(b >> 8 * i);
  }
  return sum;
}
inline int __dp4a(unsigned a, int b, int sum) {
  for (int i = 0; i < 4; ++i) {
    sum += static_cast<uint8_t>(a >> 8 * i) * static_cast<int8_t>(b >> 8 * i);
  }
  return sum;
}
inline unsigned __byte_perm(unsigned a, unsigned b, unsigned selector) {
  const uint64_t bytes = static_cast<uint64_t>(b) << 32 | a;
  unsigned result = 0;
  for (int i = 0; i < 4; ++i) {
    const unsigned s = selector >> 4 * i;
    unsigned byte = static_cast<unsigned>(bytes >> 8 * (s & 7)) & 0xff;
    if ((s & 8) != 0) byte = (byte & 0x80) != 0 ? 0xff : 0;
    result |= byte << 8 * i;
  }
  return result;
}
