#include "bench/limit_loops.h"

#include <immintrin.h>

#include "kernels/cpu/amx_tiles.h"

namespace octet::bench {
namespace {

constexpr int kChains = 12;  // more than latency times units, fewer than the registers

bool has_vnni() { return __builtin_cpu_supports("avx512vnni") != 0; }

// The values pass through an empty asm, so that the loop is neither folded nor reordered away.
#define OCTET_KEEP(value) asm volatile("" : "+v"(value))

[[gnu::target("avx512f,avx512vnni")]] double vnni(int rounds) {
  __m512i sums[kChains] = {}, a = _mm512_set1_epi8(3), b = _mm512_set1_epi8(5);
  for (int round = 0; round < rounds; ++round) {
    for (__m512i& sum : sums) {
      sum = _mm512_dpbusd_epi32(sum, a, b);
      OCTET_KEEP(sum);
    }
  }
  return 128.0 * kChains * rounds;
}

// Four tiles of sums, two of each input, all from registers.
double amx(int rounds) {
  namespace tile = cpu::amx;
  tile::configure_thread();
  for (int round = 0; round < rounds; ++round) {
    tile::multiply_add<0, 4, 6>();
    tile::multiply_add<1, 4, 7>();
    tile::multiply_add<2, 5, 6>();
    tile::multiply_add<3, 5, 7>();
  }
  return 4.0 * 2 * tile::kTileRows * tile::kTileRows * tile::kTileBytes * rounds;
}

double maddubs(int rounds) {
  const __m256i one = _mm256_set1_epi16(1);
  __m256i sums[kChains] = {}, a = _mm256_set1_epi8(3), b = _mm256_set1_epi8(5);
  for (int round = 0; round < rounds; ++round) {
    for (__m256i& sum : sums) {
      OCTET_KEEP(a);
      sum = _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(a, b), one));
      OCTET_KEEP(sum);
    }
  }
  return 64.0 * kChains * rounds;
}

[[gnu::target("avx512f")]] double fma512(int rounds) {
  __m512 sums[kChains] = {}, a = _mm512_set1_ps(0.5f), b = _mm512_set1_ps(0.25f);
  for (int round = 0; round < rounds; ++round) {
    for (__m512& sum : sums) {
      sum = _mm512_fmadd_ps(a, b, sum);
      OCTET_KEEP(sum);
    }
  }
  return 32.0 * kChains * rounds;
}

double fma256(int rounds) {
  __m256 sums[kChains] = {}, a = _mm256_set1_ps(0.5f), b = _mm256_set1_ps(0.25f);
  for (int round = 0; round < rounds; ++round) {
    for (__m256& sum : sums) {
      sum = _mm256_fmadd_ps(a, b, sum);
      OCTET_KEEP(sum);
    }
  }
  return 16.0 * kChains * rounds;
}

#undef OCTET_KEEP

}  // namespace

uint64_t read_streams(const std::byte* data, size_t bytes) {
  constexpr size_t kStreams = 4, kLine = 64, kAhead = 512;
  const size_t stride = bytes / kStreams;
  __m256i sums[kStreams] = {};
  for (size_t at = 0; at < stride; at += kLine) {
    for (size_t stream = 0; stream < kStreams; ++stream) {
      const std::byte* line = data + stream * stride + at;
      _mm_prefetch(reinterpret_cast<const char*>(line + kAhead), _MM_HINT_T0);
      const auto* halves = reinterpret_cast<const __m256i*>(line);
      sums[stream] = _mm256_or_si256(
          sums[stream], _mm256_or_si256(_mm256_load_si256(halves), _mm256_load_si256(halves + 1)));
    }
  }
  const __m256i all =
      _mm256_or_si256(_mm256_or_si256(sums[0], sums[1]), _mm256_or_si256(sums[2], sums[3]));
  return static_cast<uint64_t>(_mm256_extract_epi64(all, 0));
}

double int8_multiply_adds(int rounds) {
  return cpu::amx::available() ? amx(rounds) : has_vnni() ? vnni(rounds) : maddubs(rounds);
}

double float_multiply_adds(int rounds) {
  return __builtin_cpu_supports("avx512f") ? fma512(rounds) : fma256(rounds);
}

const char* int8_instruction() {
  return cpu::amx::available() ? "amx-int8" : has_vnni() ? "avx512-vnni" : "avx2 maddubs";
}

}  // namespace octet::bench
