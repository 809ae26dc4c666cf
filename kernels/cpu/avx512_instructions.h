// What kernels_avx512.cc does not leave to gcc's intrinsics, and whether the machine has what it
// needs. The tests put another header of this name in front of this one, which computes the same in
// plain C++ (tests/kernels/avx512_emulation). Included by kernels_avx512.cc alone.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace octet::cpu::avx512 {

static inline bool available() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512vnni");
}

// sums += w * x, w unsigned. gcc 12 copies its accumulators around the intrinsic.
static inline void multiply_add(__m512i& sums, __m512i w, __m512i x) {
  asm("vpdpbusd %2, %1, %0" : "+v"(sums) : "v"(w), "v"(x));
}

// To nearest, ties to even; less than 2^-126 to 0; a's first. For kernels with AMX alone, whose
// machines have it.
static inline __m512i to_bf16(__m512 a, __m512 b) {
  __m512i halves;
  asm("vcvtne2ps2bf16 %1, %2, %0" : "=v"(halves) : "v"(a), "v"(b));
  return halves;
}

// A bit a lane. The move is spelled out: a widened mask that has to be spilled is stored by gcc 12
// as two bytes and read again as four.
static inline uint32_t lanes_of(__mmask16 mask) {
  uint32_t lanes;
  asm("kmovw %1, %0" : "=r"(lanes) : "k"(mask));
  return lanes;
}

}  // namespace octet::cpu::avx512
