// AVX512's intrinsics on any machine with AVX2: SIMDe's, and in plain C++ those that it lacks. To
// stand in front of the compiler's header of this name.
#pragma once

#include_next <immintrin.h>

#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx512.h>

#include <array>
#include <bit>
#include <cstdint>
#include <cstring>

namespace octet::avx512_emulation {

using Floats = std::array<float, 16>;
using Ints = std::array<int32_t, 16>;

// make(lane) for every lane.
template <typename Vector, typename Make>
Vector each_lane(const Make& make) {
  Vector lanes;
  for (int i = 0; i < 16; ++i) lanes[i] = make(i);
  return lanes;
}
template <typename Make>
simde__m512 floats(const Make& make) {
  return std::bit_cast<simde__m512>(each_lane<Floats>(make));
}
template <typename Make>
simde__m512i ints(const Make& make) {
  return std::bit_cast<simde__m512i>(each_lane<Ints>(make));
}

inline simde__m512 maskz_loadu_ps(uint16_t mask, const void* from) {
  return floats(
      [&](int i) { return (mask >> i & 1) != 0 ? static_cast<const float*>(from)[i] : 0; });
}
inline void mask_storeu_ps(void* to, uint16_t mask, simde__m512 value) {
  const auto lanes = std::bit_cast<Floats>(value);
  for (int i = 0; i < 16; ++i) {
    if ((mask >> i & 1) != 0) static_cast<float*>(to)[i] = lanes[i];
  }
}
inline void stream_ps(void* to, simde__m512 value) {
  if (reinterpret_cast<uintptr_t>(to) % 64 != 0) __builtin_trap();  // as the machine would
  std::memcpy(to, &value, sizeof value);
}
inline simde__m512 cvtepi32_ps(simde__m512i value) {
  const auto lanes = std::bit_cast<Ints>(value);
  return floats([&](int i) { return static_cast<float>(lanes[i]); });
}
inline simde__m512i cvtps_epi32(simde__m512 value) {
  const auto lanes = std::bit_cast<Floats>(value);
  return ints([&](int i) { return _mm_cvtss_si32(_mm_set_ss(lanes[i])); });
}
inline simde__m512i cvtepi8_epi32(__m128i value) {
  const auto lanes = std::bit_cast<std::array<int8_t, 16>>(value);
  return ints([&](int i) { return lanes[i]; });
}
inline simde__m512i cvtepu16_epi32(__m256i value) {
  const auto lanes = std::bit_cast<std::array<uint16_t, 16>>(value);
  return ints([&](int i) { return lanes[i]; });
}
inline simde__m512 cvtph_ps(__m256i value) {
  const auto lanes = std::bit_cast<std::array<uint16_t, 16>>(value);
  return floats([&](int i) { return _cvtsh_ss(lanes[i]); });
}
inline int32_t reduce_add_epi32(simde__m512i value) {
  int32_t sum = 0;
  for (const int32_t lane : std::bit_cast<Ints>(value)) sum += lane;
  return sum;
}

}  // namespace octet::avx512_emulation

#undef _mm512_maskz_loadu_ps
#undef _mm512_mask_storeu_ps
#undef _mm512_stream_ps
#undef _mm512_cvtepi32_ps
#undef _mm512_cvtps_epi32
#undef _mm512_cvtepi8_epi32
#undef _mm512_cvtepu16_epi32
#undef _mm512_cvtph_ps
#undef _mm512_reduce_add_epi32
#define _mm512_maskz_loadu_ps octet::avx512_emulation::maskz_loadu_ps
#define _mm512_mask_storeu_ps octet::avx512_emulation::mask_storeu_ps
#define _mm512_stream_ps octet::avx512_emulation::stream_ps
#define _mm512_cvtepi32_ps octet::avx512_emulation::cvtepi32_ps
#define _mm512_cvtps_epi32 octet::avx512_emulation::cvtps_epi32
#define _mm512_cvtepi8_epi32 octet::avx512_emulation::cvtepi8_epi32
#define _mm512_cvtepu16_epi32 octet::avx512_emulation::cvtepu16_epi32
#define _mm512_cvtph_ps octet::avx512_emulation::cvtph_ps
#define _mm512_reduce_add_epi32 octet::avx512_emulation::reduce_add_epi32
#define __AVX512F__ 1
