// Shortlists on the emulation: whatever the order of the threads and however short the scratch is,
// the same bits.
#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <vector>

#include "kernels/cuda/ops.h"
#include "tests/kernels/cuda_emulation/cuda_runtime.h"

namespace octet::cuda {
namespace {

constexpr int kRows = 7, kWidth = 10'000;

std::vector<Shortlist> lists(cuda_emulation::Order order, size_t scratch_bytes) {
  std::mt19937 generator(3);
  std::normal_distribution<float> normal(0, 2);
  std::vector<float> logits(kRows * kWidth), inverses{0, 1, 2, 0.5f, 0, 1.5f, 1};
  for (float& logit : logits) logit = normal(generator);
  const std::vector<int32_t> tokens{-1, 5, -1, 9'999, 0, -1, 7};
  std::vector<Shortlist> out(kRows);
  std::vector<std::byte> scratch(scratch_bytes);
  cuda_emulation::set_order(order);
  cudaStream_t stream = nullptr;
  cudaStreamCreate(&stream);
  shortlist({.m = kRows,
             .vocab_size = kWidth,
             .logits = logits.data(),
             .inverse_temperatures = inverses.data(),
             .scored_tokens = tokens.data(),
             .out = out.data(),
             .scratch = scratch.data(),
             .scratch_bytes = static_cast<int64_t>(scratch_bytes)},
            stream);
  cudaStreamSynchronize(stream);
  cudaStreamDestroy(stream);
  cuda_emulation::set_order(cuda_emulation::Order::kForward);
  return out;
}

TEST(CudaShortlist, HasTheSameBits_InAnyOrderOfThreadsAndNumberOfRounds) {
  constexpr size_t kRow = 3 * 528;
  const auto expected = lists(cuda_emulation::Order::kForward, kRows * kRow);
  EXPECT_GT(expected[1].sum, 1);
  for (const auto order : {cuda_emulation::Order::kForward, cuda_emulation::Order::kBackward}) {
    for (const size_t rows : {1, 3, kRows}) {
      const auto actual = lists(order, rows * kRow);
      EXPECT_EQ(std::memcmp(actual.data(), expected.data(), kRows * sizeof(Shortlist)), 0) << rows;
    }
  }
}

}  // namespace
}  // namespace octet::cuda
