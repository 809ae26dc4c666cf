// Matrix fragments and asynchronous copies behind instructions.h.
#pragma once

#include <cstdint>

#include "tests/kernels/cuda_emulation/cuda_bf16.h"
#include "tests/kernels/cuda_emulation/grid.h"

namespace cuda_emulation {

// cp.async: `bytes` and then zeros, of the current thread's open group.
void issue_copy(void* to, const void* from, unsigned bytes, unsigned zeros);
// Does all closed groups but the newest `flying`.
void finish_copies(unsigned flying);
void finish_products(unsigned flying);

// mbarrier, in its eight bytes: arrivals still missing, arrivals of a phase, bytes, parity.
void phase_init(uint64_t* barrier, int count);
void phase_arrive(uint64_t* barrier, int expected_bytes, Block& block = *current->block);
bool phase_ended(uint64_t* barrier, int parity);  // does the bulk copies that the phase waits for
// `from` null: zeros. `block`: in whose shared memory `to` and `barrier` are.
void issue_bulk_copy(void* to, const void* from, int bytes, uint64_t* barrier,
                     Block& block = *current->block);

void load_matrices(uint32_t (&r)[4], const void* row, bool transposed, Site site);

// d += the thread's part of a b^T, 64 x n x 32: a and b as matrix_descriptor gives them.
void warp_group_part(int32_t* d, int n, uint64_t a, uint64_t b);

inline float times_plus(__nv_bfloat16 a, __nv_bfloat16 b, float sum) {
  return std::fma(__bfloat162float(a), __bfloat162float(b), sum);
}
inline int32_t times_plus(int8_t a, int8_t b, int32_t sum) { return sum + a * b; }

// 16 x 8 x 32 bytes of elements of T.
template <typename T, typename Sum>
void mma(Sum (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], const char* what, Site site) {
  struct Lane {
    const uint32_t *a, *b;
    Sum* d;
  } mine{a, b, d};
  meet(kAllLanes, what, site, mine, [](const std::array<Lane*, kWarp>& lanes) {
    constexpr int kHalf = 16 / sizeof(T), kOfLane = 4 / sizeof(T);
    T rows[16][2 * kHalf], columns[8][2 * kHalf];
    for (unsigned lane = 0; lane < kWarp; ++lane) {
      const unsigned g = lane / 4, at = lane % 4 * kOfLane;
      for (int half = 0; half < 2; ++half) {
        std::memcpy(&rows[g][half * kHalf + at], &lanes[lane]->a[2 * half], 4);
        std::memcpy(&rows[g + 8][half * kHalf + at], &lanes[lane]->a[2 * half + 1], 4);
        std::memcpy(&columns[g][half * kHalf + at], &lanes[lane]->b[half], 4);
      }
    }
    for (unsigned lane = 0; lane < kWarp; ++lane) {
      for (unsigned i = 0; i < 4; ++i) {
        const T* row = rows[lane / 4 + i / 2 * 8];
        const T* column = columns[lane % 4 * 2 + i % 2];
        Sum sum = lanes[lane]->d[i];
        for (int k = 0; k < 2 * kHalf; ++k) sum = times_plus(row[k], column[k], sum);
        lanes[lane]->d[i] = sum;
      }
    }
  });
}

}  // namespace cuda_emulation
