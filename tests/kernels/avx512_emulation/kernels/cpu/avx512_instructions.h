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

static inline __m256i to_bf16(__m512 numbers) {
  const auto lanes = std::bit_cast<std::array<uint32_t, 16>>(numbers);
  std::array<uint16_t, 16> halves;
  for (int i = 0; i < 16; ++i) {
    const bool nan = (lanes[i] & 0x7fffffff) > 0x7f800000;
    const uint32_t rounded = lanes[i] + 0x7fff + (lanes[i] >> 16 & 1);
    halves[i] = static_cast<uint16_t>(nan ? lanes[i] >> 16 | 0x40 : rounded >> 16);
  }
  return std::bit_cast<__m256i>(halves);
}

static inline uint32_t lanes_of(__mmask16 mask) { return mask; }

}  // namespace octet::cpu::avx512
