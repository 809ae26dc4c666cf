// Vec16: sixteen floats, as one AVX-512 register or two AVX2 ones; the same arithmetic, lane for
// lane, either way. Included only by the files that fill a KernelTable, inside their own unnamed
// namespace; with AVX-512 behind avx512_instructions.h.

#if defined(__AVX512F__)

struct Vec16 {
  __m512 v;
};
inline Vec16 zero() { return {_mm512_setzero_ps()}; }
inline Vec16 all(float x) { return {_mm512_set1_ps(x)}; }
inline Vec16 load(const float* p) { return {_mm512_loadu_ps(p)}; }
inline Vec16 load_first(const float* p, int n) {
  return {_mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << n) - 1), p)};
}
inline void store(float* p, Vec16 a) { _mm512_storeu_ps(p, a.v); }
inline void store_past_caches(float* p, Vec16 a) { _mm512_stream_ps(p, a.v); }  // 64-byte aligned
inline void store_first(float* p, Vec16 a, int n) {
  _mm512_mask_storeu_ps(p, static_cast<__mmask16>((1u << n) - 1), a.v);
}
inline Vec16 ramp(float x) {  // x, x + 1, ...
  const __m512 lanes = _mm512_setr_ps(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  return {_mm512_add_ps(_mm512_set1_ps(x), lanes)};
}
inline Vec16 add(Vec16 a, Vec16 b) { return {_mm512_add_ps(a.v, b.v)}; }
inline Vec16 sub(Vec16 a, Vec16 b) { return {_mm512_sub_ps(a.v, b.v)}; }
inline Vec16 mul(Vec16 a, Vec16 b) { return {_mm512_mul_ps(a.v, b.v)}; }
inline Vec16 div(Vec16 a, Vec16 b) { return {_mm512_div_ps(a.v, b.v)}; }
inline Vec16 fma(Vec16 a, Vec16 b, Vec16 c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
inline Vec16 max(Vec16 a, Vec16 b) { return {_mm512_max_ps(a.v, b.v)}; }
inline Vec16 min(Vec16 a, Vec16 b) { return {_mm512_min_ps(a.v, b.v)}; }
inline Vec16 magnitude(Vec16 a) { return {_mm512_abs_ps(a.v)}; }
// a where its magnitude is below the limit, else 0.
inline Vec16 keep_below(Vec16 a, Vec16 limit) {
  return {_mm512_maskz_mov_ps(_mm512_cmp_ps_mask(_mm512_abs_ps(a.v), limit.v, _CMP_LT_OQ), a.v)};
}
// The others: 0 where the magnitude is below the limit, else a.
inline Vec16 drop_below(Vec16 a, Vec16 limit) {
  return {_mm512_maskz_mov_ps(_mm512_cmp_ps_mask(_mm512_abs_ps(a.v), limit.v, _CMP_NLT_UQ), a.v)};
}
inline uint32_t nonzero_lanes(Vec16 a) {  // a bit each
  return avx512::lanes_of(_mm512_cmp_ps_mask(a.v, _mm512_setzero_ps(), _CMP_NEQ_UQ));
}
struct Ints16 {  // sixteen int32
  __m512i v;
};
inline Ints16 no_ints() { return {_mm512_setzero_si512()}; }
inline Ints16 load_ints(const int32_t* p) { return {_mm512_loadu_si512(p)}; }
inline Ints16 to_ints(Vec16 a) { return {_mm512_cvtps_epi32(a.v)}; }  // rounded
template <int kBits>
inline Ints16 shift_left(Ints16 a) {
  return {_mm512_slli_epi32(a.v, kBits)};
}
inline void store(uint8_t* p, Ints16 a) { _mm512_storeu_si512(p, a.v); }
inline Ints16 add(Ints16 a, Ints16 b) { return {_mm512_add_epi32(a.v, b.v)}; }
inline int32_t sum_lanes(Ints16 a) { return _mm512_reduce_add_epi32(a.v); }
inline Vec16 to_float(Ints16 a, int32_t excess) {  // of a - excess
  return {_mm512_cvtepi32_ps(_mm512_sub_epi32(a.v, _mm512_set1_epi32(excess)))};
}
inline Vec16 round_even(Vec16 a) { return {_mm512_roundscale_ps(a.v, 8)}; }
// a 2^n for integral n in [-126, 127].
inline Vec16 times_power_of_two(Vec16 a, Vec16 n) { return {_mm512_scalef_ps(a.v, n.v)}; }
inline Vec16 load_bf16(const uint16_t* p) {
  const __m256i bits = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16))};
}
// Of sixteen pairs, the firsts or the seconds.
template <bool kReload>
inline Vec16 load_of_pairs(const uint16_t* p, bool second) {
  const __m512i bits = _mm512_loadu_si512(p);
  return {_mm512_castsi512_ps(second ? _mm512_and_si512(bits, _mm512_set1_epi32(-65536))
                                     : _mm512_slli_epi32(bits, 16))};
}
inline Vec16 load_f16(const uint16_t* p) {
  return {_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))};
}
inline Vec16 load_i8(const int8_t* p) {
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return {_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes))};
}
// Rounds to int8 (values already within [-127, 127]) and returns the sixteen integers.
inline Ints16 store_int8(int8_t* p, Vec16 a) {
  const __m512i q = _mm512_cvtps_epi32(a.v);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtsepi32_epi8(q));
  return {q};
}
inline __m256 low(Vec16 a) { return _mm512_castps512_ps256(a.v); }
inline __m256 high(Vec16 a) {
  return _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(a.v), 1));
}

#else

struct Vec16 {
  __m256 lo, hi;
};
inline __m256i mask_of(int n) {  // the first n of eight lanes
  const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), lanes);
}
inline Vec16 zero() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
inline Vec16 all(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
inline Vec16 load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
inline Vec16 load_first(const float* p, int n) {
  return {_mm256_maskload_ps(p, mask_of(n)), _mm256_maskload_ps(p + 8, mask_of(n - 8))};
}
inline void store(float* p, Vec16 a) {
  _mm256_storeu_ps(p, a.lo);
  _mm256_storeu_ps(p + 8, a.hi);
}
inline void store_past_caches(float* p, Vec16 a) {
  _mm256_stream_ps(p, a.lo);
  _mm256_stream_ps(p + 8, a.hi);
}
inline void store_first(float* p, Vec16 a, int n) {
  _mm256_maskstore_ps(p, mask_of(n), a.lo);
  _mm256_maskstore_ps(p + 8, mask_of(n - 8), a.hi);
}
inline Vec16 ramp(float x) {
  const __m256 lanes = _mm256_setr_ps(0, 1, 2, 3, 4, 5, 6, 7);
  return {_mm256_add_ps(_mm256_set1_ps(x), lanes), _mm256_add_ps(_mm256_set1_ps(x + 8), lanes)};
}
inline Vec16 add(Vec16 a, Vec16 b) {
  return {_mm256_add_ps(a.lo, b.lo), _mm256_add_ps(a.hi, b.hi)};
}
inline Vec16 sub(Vec16 a, Vec16 b) {
  return {_mm256_sub_ps(a.lo, b.lo), _mm256_sub_ps(a.hi, b.hi)};
}
inline Vec16 mul(Vec16 a, Vec16 b) {
  return {_mm256_mul_ps(a.lo, b.lo), _mm256_mul_ps(a.hi, b.hi)};
}
inline Vec16 div(Vec16 a, Vec16 b) {
  return {_mm256_div_ps(a.lo, b.lo), _mm256_div_ps(a.hi, b.hi)};
}
inline Vec16 fma(Vec16 a, Vec16 b, Vec16 c) {
  return {_mm256_fmadd_ps(a.lo, b.lo, c.lo), _mm256_fmadd_ps(a.hi, b.hi, c.hi)};
}
inline Vec16 max(Vec16 a, Vec16 b) {
  return {_mm256_max_ps(a.lo, b.lo), _mm256_max_ps(a.hi, b.hi)};
}
inline Vec16 min(Vec16 a, Vec16 b) {
  return {_mm256_min_ps(a.lo, b.lo), _mm256_min_ps(a.hi, b.hi)};
}
inline Vec16 magnitude(Vec16 a) {
  const __m256 sign = _mm256_set1_ps(-0.0f);
  return {_mm256_andnot_ps(sign, a.lo), _mm256_andnot_ps(sign, a.hi)};
}
inline Vec16 keep_below(Vec16 a, Vec16 limit) {
  const Vec16 size = magnitude(a);
  return {_mm256_and_ps(a.lo, _mm256_cmp_ps(size.lo, limit.lo, _CMP_LT_OQ)),
          _mm256_and_ps(a.hi, _mm256_cmp_ps(size.hi, limit.hi, _CMP_LT_OQ))};
}
inline Vec16 drop_below(Vec16 a, Vec16 limit) {
  const Vec16 size = magnitude(a);
  return {_mm256_and_ps(a.lo, _mm256_cmp_ps(size.lo, limit.lo, _CMP_NLT_UQ)),
          _mm256_and_ps(a.hi, _mm256_cmp_ps(size.hi, limit.hi, _CMP_NLT_UQ))};
}
inline uint32_t nonzero_lanes(Vec16 a) {
  const __m256 zeros = _mm256_setzero_ps();
  return static_cast<uint32_t>(_mm256_movemask_ps(_mm256_cmp_ps(a.lo, zeros, _CMP_NEQ_UQ))) |
         static_cast<uint32_t>(_mm256_movemask_ps(_mm256_cmp_ps(a.hi, zeros, _CMP_NEQ_UQ))) << 8;
}
struct Ints16 {
  __m256i lo, hi;
};
inline Ints16 no_ints() { return {_mm256_setzero_si256(), _mm256_setzero_si256()}; }
inline Ints16 load_ints(const int32_t* p) {
  const auto* halves = reinterpret_cast<const __m256i*>(p);
  return {_mm256_loadu_si256(halves), _mm256_loadu_si256(halves + 1)};
}
inline Ints16 to_ints(Vec16 a) { return {_mm256_cvtps_epi32(a.lo), _mm256_cvtps_epi32(a.hi)}; }
template <int kBits>
inline Ints16 shift_left(Ints16 a) {
  return {_mm256_slli_epi32(a.lo, kBits), _mm256_slli_epi32(a.hi, kBits)};
}
inline void store(uint8_t* p, Ints16 a) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), a.lo);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p + 32), a.hi);
}
inline Ints16 add(Ints16 a, Ints16 b) {
  return {_mm256_add_epi32(a.lo, b.lo), _mm256_add_epi32(a.hi, b.hi)};
}
inline int32_t sum_lanes(Ints16 a) {
  const __m256i eight = _mm256_add_epi32(a.lo, a.hi);
  __m128i four = _mm_add_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256(eight, 1));
  four = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4E));
  return _mm_cvtsi128_si32(_mm_add_epi32(four, _mm_shuffle_epi32(four, 0xB1)));
}
inline Vec16 to_float(Ints16 a, int32_t excess) {
  const __m256i eight = _mm256_set1_epi32(excess);
  return {_mm256_cvtepi32_ps(_mm256_sub_epi32(a.lo, eight)),
          _mm256_cvtepi32_ps(_mm256_sub_epi32(a.hi, eight))};
}
inline Vec16 round_even(Vec16 a) {
  return {_mm256_round_ps(a.lo, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC),
          _mm256_round_ps(a.hi, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
inline __m256 power_of_two(__m256 n) {
  const __m256i e = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
  return _mm256_castsi256_ps(_mm256_slli_epi32(e, 23));
}
inline Vec16 times_power_of_two(Vec16 a, Vec16 n) {
  return {_mm256_mul_ps(a.lo, power_of_two(n.lo)), _mm256_mul_ps(a.hi, power_of_two(n.hi))};
}
inline __m256 widen_bf16(const uint16_t* p) {
  const __m128i bits = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
}
inline Vec16 load_bf16(const uint16_t* p) { return {widen_bf16(p), widen_bf16(p + 8)}; }
// kReload: the seconds are loaded anew, not kept beside the firsts. gcc 12 never does so by itself,
// and keeps a sum in memory instead where there are many.
template <bool kReload>
inline __m256 widen_of_pairs(const uint16_t* p, bool second) {
  alignas(32) static constexpr uint32_t kHigh[] = {0xffff0000, 0xffff0000, 0xffff0000, 0xffff0000,
                                                   0xffff0000, 0xffff0000, 0xffff0000, 0xffff0000};
  const auto* pairs = reinterpret_cast<const __m256i_u*>(p);
  if (!second) return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_loadu_si256(pairs), 16));
  const auto* high = reinterpret_cast<const __m256i*>(kHigh);
  if constexpr (!kReload) {
    return _mm256_castsi256_ps(_mm256_and_si256(_mm256_loadu_si256(pairs), *high));
  }
  __m256 wide;
  asm("vmovups %1, %0\n\tvandps %2, %0, %0" : "=x"(wide) : "m"(*pairs), "m"(*high));
  return wide;
}
template <bool kReload>
inline Vec16 load_of_pairs(const uint16_t* p, bool second) {
  return {widen_of_pairs<kReload>(p, second), widen_of_pairs<kReload>(p + kBlock, second)};
}
inline Vec16 load_f16(const uint16_t* p) {
  return {_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))),
          _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 8)))};
}
inline __m256 widen_i8(const int8_t* p) {
  return _mm256_cvtepi32_ps(
      _mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))));
}
inline Vec16 load_i8(const int8_t* p) { return {widen_i8(p), widen_i8(p + 8)}; }
inline Ints16 store_int8(int8_t* p, Vec16 a) {
  const Ints16 q{_mm256_cvtps_epi32(a.lo), _mm256_cvtps_epi32(a.hi)};
  const __m256i words = _mm256_permute4x64_epi64(_mm256_packs_epi32(q.lo, q.hi), 0xD8);
  _mm_storeu_si128(
      reinterpret_cast<__m128i*>(p),
      _mm_packs_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1)));
  return q;
}
inline __m256 low(Vec16 a) { return a.lo; }
inline __m256 high(Vec16 a) { return a.hi; }

#endif

// The sixteen lanes in one fixed order: halves, quarters, pairs, the two.
inline float sum_lanes(Vec16 a) {
  const __m256 eight = _mm256_add_ps(low(a), high(a));
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

inline float max_lanes(Vec16 a) {
  const __m256 eight = _mm256_max_ps(low(a), high(a));
  const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}

// e^x within 2 ulp for x in [-87, 88], clamped outside; e^-inf is e^-87, about 1e-38.
inline Vec16 exponential(Vec16 x) {
  x = min(max(x, all(-87.0f)), all(88.0f));
  const Vec16 n = round_even(mul(x, all(1.44269504088896341f)));
  const Vec16 r = fma(n, all(2.12194440e-4f), fma(n, all(-0.693359375f), x));
  Vec16 p = all(1.0f / 5040);
  p = fma(p, r, all(1.0f / 720));
  p = fma(p, r, all(1.0f / 120));
  p = fma(p, r, all(1.0f / 24));
  p = fma(p, r, all(1.0f / 6));
  p = fma(p, r, all(0.5f));
  p = fma(p, r, all(1.0f));
  p = fma(p, r, all(1.0f));
  return times_power_of_two(p, n);
}
