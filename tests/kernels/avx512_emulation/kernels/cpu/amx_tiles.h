// What kernels/cpu/amx_tiles.h offers, in plain C++: kernels_avx512.cc built with this header in
// front of that one runs its tiles on machines without AMX.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>

namespace octet::cpu::amx {

inline constexpr int kTileRows = 16, kTileBytes = 64;

struct Tile {
  uint8_t bytes[kTileRows][kTileBytes];
};
static thread_local Tile tiles[8];
static thread_local bool configured = false;

static inline bool available() { return true; }

static inline void configure_thread() { configured = true; }

template <int kTile>
static Tile& tile() {
  static_assert(kTile >= 0 && kTile < 8);
  if (!configured) __builtin_trap();  // as the machine would
  return tiles[kTile];
}

template <int kTile>
static void zero() {
  tile<kTile>() = {};
}

template <int kTile>
static void load(const void* data, int64_t stride) {
  for (int row = 0; row < kTileRows; ++row) {
    std::memcpy(tile<kTile>().bytes[row], static_cast<const uint8_t*>(data) + row * stride,
                kTileBytes);
  }
}

template <int kTile>
static void load_once(const void* data, int64_t stride) {
  load<kTile>(data, stride);
}

template <int kTile>
static void store(void* data, int64_t stride) {
  for (int row = 0; row < kTileRows; ++row) {
    std::memcpy(static_cast<uint8_t*>(data) + row * stride, tile<kTile>().bytes[row], kTileBytes);
  }
}

template <int kSums, int kX, int kW>
static void multiply_add() {
  static_assert(kSums != kX && kSums != kW && kX != kW);  // else the instruction faults
  for (int m = 0; m < kTileRows; ++m) {
    for (int n = 0; n < kTileBytes / 4; ++n) {
      int32_t sum;
      std::memcpy(&sum, &tile<kSums>().bytes[m][4 * n], sizeof sum);
      for (int k = 0; k < kTileBytes; ++k) {
        const auto x = static_cast<int8_t>(tile<kX>().bytes[m][k]);
        sum += x * tile<kW>().bytes[k / 4][4 * n + k % 4];
      }
      std::memcpy(&tile<kSums>().bytes[m][4 * n], &sum, sizeof sum);
    }
  }
}

// Its own sums are not the machine's to the last bit.
template <int kSums, int kX, int kW>
static void multiply_add_bf16() {
  static_assert(kSums != kX && kSums != kW && kX != kW);
  const auto number = [](const uint8_t* bytes) {
    uint16_t half;
    std::memcpy(&half, bytes, sizeof half);
    return std::bit_cast<float>(uint32_t{half} << 16);
  };
  for (int m = 0; m < kTileRows; ++m) {
    for (int n = 0; n < kTileBytes / 4; ++n) {
      float even = 0, odd = 0, sum;
      for (int k = 0; k < kTileBytes; k += 4) {
        const uint8_t* x = &tile<kX>().bytes[m][k];
        const uint8_t* w = &tile<kW>().bytes[k / 4][4 * n];
        even += number(x) * number(w);
        odd += number(x + 2) * number(w + 2);
      }
      std::memcpy(&sum, &tile<kSums>().bytes[m][4 * n], sizeof sum);
      sum += even + odd;
      std::memcpy(&tile<kSums>().bytes[m][4 * n], &sum, sizeof sum);
    }
  }
}

}  // namespace octet::cpu::amx
