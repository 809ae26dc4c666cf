// The AMX instructions that the kernels use: eight tile registers of 16 rows by 64 bytes. Any
// flags will do; nothing is shared between files of different flags. The tests put another header
// of this name in front of this one, which computes the same in plain C++
// (tests/kernels/avx512_emulation).
#pragma once

#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>

namespace octet::cpu::amx {

inline constexpr int kTileRows = 16, kTileBytes = 64;  // a row's bytes

// Does the machine have tiles of int8 and bf16, and does Linux (5.16 and later) let this process
// use them? The first call asks for that; threads of before and after it are included.
static inline bool available() {
  static const bool granted = [] {
    constexpr int kRequestPermission = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM, XTILEDATA
    return __builtin_cpu_supports("amx-tile") && __builtin_cpu_supports("amx-int8") &&
           __builtin_cpu_supports("amx-bf16") && __builtin_cpu_supports("avx512bf16") &&
           syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
  }();
  return granted;
}

// Gives all tiles of the calling thread their full size, once. REQUIRES, for all below:
// available(); nobody else configures this thread's tiles; no fork() in between, whose child would
// have none.
static inline void configure_thread() {
  struct alignas(64) Configuration {
    uint8_t palette = 1, start_row = 0, reserved[14] = {};
    uint16_t bytes[16] = {kTileBytes, kTileBytes, kTileBytes, kTileBytes,
                          kTileBytes, kTileBytes, kTileBytes, kTileBytes};
    uint8_t rows[16] = {kTileRows, kTileRows, kTileRows, kTileRows,
                        kTileRows, kTileRows, kTileRows, kTileRows};
  };
  static_assert(sizeof(Configuration) == 64);
  thread_local bool configured = false;
  if (configured) return;
  const Configuration configuration;
  asm volatile("ldtilecfg %0" : : "m"(configuration));
  configured = true;
}

template <int kTile>
static inline void zero() {
  asm volatile("tilezero %%tmm%c0" : : "i"(kTile));
}

// What lies at `data` and behind it, to name it as an operand.
using Bytes = uint8_t[];
static inline const Bytes& bytes_at(const void* data) { return *static_cast<const Bytes*>(data); }
static inline Bytes& bytes_at(void* data) { return *static_cast<Bytes*>(data); }

template <int kTile>
static inline void load(const void* data, int64_t stride) {
  asm volatile("tileloadd (%1,%2,1), %%tmm%c0"
               :
               : "i"(kTile), "r"(data), "r"(stride), "m"(bytes_at(data)));
}

// For data that is not soon read again: past L1, if possible.
template <int kTile>
static inline void load_once(const void* data, int64_t stride) {
  asm volatile("tileloaddt1 (%1,%2,1), %%tmm%c0"
               :
               : "i"(kTile), "r"(data), "r"(stride), "m"(bytes_at(data)));
}

template <int kTile>
static inline void store(void* data, int64_t stride) {
  asm volatile("tilestored %%tmm%c1, (%2,%3,1)"
               : "+m"(bytes_at(data))
               : "i"(kTile), "r"(data), "r"(stride));
}

// sums[m][n] += the sum over k of x[m][k] * w[k / 4][4 * n + k % 4]: int8 by uint8 to int32.
template <int kSums, int kX, int kW>
static inline void multiply_add() {
  asm volatile("tdpbsud %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(kSums), "i"(kX), "i"(kW));
}

// sums[m][n] += the sum over k of x[m][k] * w[k / 2][2 * n + k % 2]: bf16 to fp32, to nearest, what
// is less than 2^-126 as 0; even and odd k by themselves first.
template <int kSums, int kX, int kW>
static inline void multiply_add_bf16() {
  asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(kSums), "i"(kX), "i"(kW));
}

}  // namespace octet::cpu::amx
