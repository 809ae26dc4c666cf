// What kernels/cpu/avx512_instructions.h offers, in plain C++.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace octet::cpu::avx512 {

static inline bool available() { return true; }

static inline void multiply_add(__m512i& sums, __m512i w, __m512i x) {
  sums = simde_mm512_dpbusd_epi32(sums, w, x);
}

static inline uint32_t lanes_of(__mmask16 mask) { return mask; }

}  // namespace octet::cpu::avx512
