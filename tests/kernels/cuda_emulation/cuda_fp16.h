// Stands where CUDA's header of this name would: half as bits, and its conversions.
#pragma once

#include <immintrin.h>

#include "tests/kernels/cuda_emulation/device_builtins.h"

struct alignas(2) __half {
  unsigned short bits;
};
struct alignas(4) __half2 {
  __half x, y;
};

inline float __half2float(__half a) { return _cvtsh_ss(a.bits); }
inline __half __float2half_rn(float a) {
  return {static_cast<unsigned short>(_cvtss_sh(a, _MM_FROUND_TO_NEAREST_INT))};
}
inline __half __float2half(float a) { return __float2half_rn(a); }
inline float2 __half22float2(__half2 a) { return {__half2float(a.x), __half2float(a.y)}; }
inline __half2 __floats2half2_rn(float a, float b) {
  return {__float2half_rn(a), __float2half_rn(b)};
}
inline unsigned short __half_as_ushort(__half a) { return a.bits; }
inline __half __ushort_as_half(unsigned short a) { return {a}; }
