// What kernels/cpu/avx512_instructions.h offers, in plain C++.
#pragma once

#include <immintrin.h>

#include <array>
#include <bit>
#include <cstdint>

namespace octet::cpu::avx512 {

static inline bool available() { return true; }

static inline void multiply_add(__m512i& sums, __m512i w, __m512i x) {
  sums = simde_mm512_dpbusd_epi32(sums, w, x);
}

static inline __m512i to_bf16(__m512 a, __m512 b) {
  const auto lanes = std::bit_cast<std::array<uint32_t, 32>>(std::array{a, b});
  std::array<uint16_t, 32> halves;
  for (int i = 0; i < 32; ++i) {
    const bool nan = (lanes[i] & 0x7fffffff) > 0x7f800000, tiny = (lanes[i] & 0x7f800000) == 0;
    const uint32_t rounded = lanes[i] + 0x7fff + (lanes[i] >> 16 & 1);
    const uint32_t number = tiny ? lanes[i] & 0x80000000 : rounded;
    halves[i] = static_cast<uint16_t>(nan ? lanes[i] >> 16 | 0x40 : number >> 16);
  }
  return std::bit_cast<__m512i>(halves);
}

static inline uint32_t lanes_of(__mmask16 mask) { return mask; }

}  // namespace octet::cpu::avx512
