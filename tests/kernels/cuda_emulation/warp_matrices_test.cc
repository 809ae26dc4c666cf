// The emulated matrix instructions against plain loops, by the fragment layouts of the PTX manual.
#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "kernels/cuda/device.cuh"

namespace octet::cuda {
namespace {

// Element i of lane l: the manual's formulas for m16n8k32 (8-bit) and m16n8k16 (16-bit).
int a_row(int lane, int i, int of_register) { return lane / 4 + i / of_register % 2 * 8; }
int a_column(int lane, int i, int of_register) {
  return lane % 4 * of_register + i % of_register + i / (2 * of_register) * 4 * of_register;
}
int b_row(int lane, int i, int of_register) {
  return lane % 4 * of_register + i % of_register + i / of_register * 4 * of_register;
}
int d_row(int lane, int i) { return lane / 4 + i / 2 * 8; }
int d_column(int lane, int i) { return lane % 4 * 2 + i % 2; }

template <typename T, typename Sum>
__global__ void one_mma(const T* a, const T* b, Sum* d) {
  constexpr int kOf = 4 / sizeof(T), kDepth = 32 / sizeof(T);
  const int lane = static_cast<int>(threadIdx.x);
  T a_elements[4 * kOf], b_elements[2 * kOf];
  for (int i = 0; i < 4 * kOf; ++i) {
    a_elements[i] = a[a_row(lane, i, kOf) * kDepth + a_column(lane, i, kOf)];
  }
  for (int i = 0; i < 2 * kOf; ++i) b_elements[i] = b[b_row(lane, i, kOf) * 8 + lane / 4];
  uint32_t a_registers[4], b_registers[2];
  std::memcpy(a_registers, a_elements, 16);
  std::memcpy(b_registers, b_elements, 8);
  Sum sums[4];
  for (int i = 0; i < 4; ++i) sums[i] = d[d_row(lane, i) * 8 + d_column(lane, i)];
  if constexpr (sizeof(T) == 1) {
    mma_s8(sums, a_registers, b_registers);
  } else {
    mma_bf16(sums, a_registers, b_registers);
  }
  for (int i = 0; i < 4; ++i) d[d_row(lane, i) * 8 + d_column(lane, i)] = sums[i];
}

TEST(WarpMatrices, MmaOfBytesIsTheProduct) {
  std::mt19937 random(1);
  std::vector<int8_t> a(16 * 32), b(32 * 8);
  for (auto& x : a) x = static_cast<int8_t>(random());
  for (auto& x : b) x = static_cast<int8_t>(random());
  std::vector<int32_t> d(16 * 8, 1000), expected = d;
  for (int m = 0; m < 16; ++m) {
    for (int n = 0; n < 8; ++n) {
      for (int k = 0; k < 32; ++k) expected[m * 8 + n] += a[m * 32 + k] * b[k * 8 + n];
    }
  }
  launch(one_mma<int8_t, int32_t>, 1, 32, 0, nullptr, a.data(), b.data(), d.data());
  EXPECT_EQ(d, expected);
}

TEST(WarpMatrices, MmaOfBf16IsTheProduct) {
  std::mt19937 random(2);
  std::vector<__nv_bfloat16> a(16 * 16), b(16 * 8);
  const auto small = [&] { return static_cast<float>(static_cast<int>(random() % 33) - 16); };
  for (auto& x : a) x = __float2bfloat16_rn(small());
  for (auto& x : b) x = __float2bfloat16_rn(small());
  std::vector<float> d(16 * 8, 0.5f), expected = d;
  for (int m = 0; m < 16; ++m) {
    for (int n = 0; n < 8; ++n) {
      for (int k = 0; k < 16; ++k) {
        expected[m * 8 + n] += __bfloat162float(a[m * 16 + k]) * __bfloat162float(b[k * 8 + n]);
      }
    }
  }
  launch(one_mma<__nv_bfloat16, float>, 1, 32, 0, nullptr, a.data(), b.data(), d.data());
  EXPECT_EQ(d, expected);
}

__global__ void load(uint16_t* out, bool transposed) {
  auto* shared = reinterpret_cast<uint16_t*>(dynamic_shared());
  for (unsigned i = threadIdx.x; i < 256; i += 32) shared[i] = static_cast<uint16_t>(i);
  __syncthreads();
  uint32_t r[4];
  if (transposed) {
    load_matrices_transposed(r, shared + threadIdx.x * 8);
  } else {
    load_matrices(r, shared + threadIdx.x * 8);
  }
  std::memcpy(out + threadIdx.x * 8, r, 16);
}

TEST(WarpMatrices, LanesGetTheirPairsOfEachMatrix) {
  std::vector<uint16_t> plain(256), transposed(256);
  launch(load, 1, 32, 512, nullptr, plain.data(), false);
  launch(load, 1, 32, 512, nullptr, transposed.data(), true);
  for (int lane = 0; lane < 32; ++lane) {
    for (int i = 0; i < 8; ++i) {
      const int matrix = i / 2 * 64, one = lane / 4, other = lane % 4 * 2 + i % 2;
      EXPECT_EQ(plain[lane * 8 + i], matrix + one * 8 + other);
      EXPECT_EQ(transposed[lane * 8 + i], matrix + other * 8 + one);
    }
  }
}

// 64 x N x 64: tiles with their rows of 64 bytes swizzled.
template <int N>
__global__ void group_product(const int8_t* a, const int8_t* b, int32_t* out) {
  std::byte* tile_a = dynamic_shared();
  std::byte* tile_b = tile_a + 64 * 64;
  const auto at = [](int row, int k) { return row * 64 + ((k / 16 ^ row / 2 % 4) * 16 | k % 16); };
  for (int i = static_cast<int>(threadIdx.x); i < (64 + N) * 64; i += 128) {
    const int row = i / 64, k = i % 64;
    if (row < 64) {
      tile_a[at(row, k)] = static_cast<std::byte>(a[i]);
    } else {
      tile_b[at(row - 64, k)] = static_cast<std::byte>(b[i - 64 * 64]);
    }
  }
  __syncthreads();
  int32_t d[N / 2] = {};
  warp_group_fence();
  for (int k = 0; k < 64; k += 32) {
    warp_group_mma_s8<N>(d, matrix_descriptor(tile_a + k), matrix_descriptor(tile_b + k));
  }
  commit_products();
  wait_products<0>();
  const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
  for (int i = 0; i < N / 2; ++i) {
    out[(warp * 16 + d_row(lane, i % 4)) * N + i / 4 * 8 + d_column(lane, i % 4)] = d[i];
  }
}

template <int N>
void check_group_product() {
  std::mt19937 random(3);
  std::vector<int8_t> a(64 * 64), b(N * 64);
  for (auto& x : a) x = static_cast<int8_t>(random());
  for (auto& x : b) x = static_cast<int8_t>(random());
  std::vector<int32_t> out(64 * N), expected(64 * N);
  for (int m = 0; m < 64; ++m) {
    for (int n = 0; n < N; ++n) {
      for (int k = 0; k < 64; ++k) expected[m * N + n] += a[m * 64 + k] * b[n * 64 + k];
    }
  }
  launch(group_product<N>, 1, 128, (64 + N) * 64, nullptr, a.data(), b.data(), out.data());
  EXPECT_EQ(out, expected);
}

TEST(WarpMatrices, ProductsOfAWarpGroupReadSwizzledTiles) {
  check_group_product<128>();
  check_group_product<192>();
  check_group_product<256>();
}

}  // namespace
}  // namespace octet::cuda
