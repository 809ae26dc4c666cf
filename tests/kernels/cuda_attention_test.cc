// Prefill on the tensor cores against each row alone, on the emulation: same bits.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <random>
#include <vector>

#include "kernels/cuda/attention_call.h"
#include "kernels/dtype.h"
#include "tests/kernels/cuda_emulation/cuda_runtime.h"

namespace octet::cuda {
namespace {

struct Batch {
  std::vector<int> rows, contexts;  // of each sequence; the rows are its last positions
  int heads = 2, group = 1, head_dim = 64, block_size = 16;
  int sliding_window = 0;
  bool alibi = false;
  DType cache = DType::kBF16;
};

class Prefill : public ::testing::TestWithParam<cuda_emulation::Order> {
 protected:
  void SetUp() override { cuda_emulation::set_order(GetParam()); }
  void TearDown() override {
    cuda_emulation::set_order(cuda_emulation::Order::kForward);
    cuda_emulation::set_compute_capability(9, 0);
  }

  std::vector<float> normal(size_t count, float spread) {
    std::normal_distribution<float> distribution(0, spread);
    std::vector<float> values(count);
    for (float& x : values) x = distribution(generator_);
    return values;
  }

  // `count` elements, as bytes.
  std::vector<std::byte> cache(DType dtype, size_t count) {
    std::vector<std::byte> bytes;
    for (const float x : normal(count, dtype == DType::kI8 ? 40.0f : 1.0f)) {
      const auto bits = static_cast<uint16_t>(
          dtype == DType::kI8 ? static_cast<int>(std::clamp(x, -127.0f, 127.0f)) : f32_to_bf16(x));
      bytes.push_back(std::byte(bits & 0xff));
      if (dtype == DType::kBF16) bytes.push_back(std::byte(bits >> 8));
    }
    return bytes;
  }

  void expect_each_rows_bits(const Batch& batch) {
    const int sequences = static_cast<int>(batch.rows.size());
    std::vector<int32_t> cu_seqlens{0}, tables;
    int blocks = 0, max_blocks = 0;
    for (const int context : batch.contexts) {
      max_blocks = std::max(max_blocks, (context + batch.block_size - 1) / batch.block_size);
    }
    for (int s = 0; s < sequences; ++s) {
      cu_seqlens.push_back(cu_seqlens.back() + batch.rows[s]);
      for (int b = 0; b < max_blocks; ++b) tables.push_back(b * sequences + s);
      blocks += max_blocks;
    }
    const int n = cu_seqlens.back(), kv_heads = batch.heads / batch.group;
    const size_t vectors = size_t(blocks) * kv_heads * batch.block_size;
    const std::vector<std::byte> k = cache(batch.cache, vectors * batch.head_dim),
                                 v = cache(batch.cache, vectors * batch.head_dim);
    const std::vector<float> k_scales = normal(vectors, 0.02f), v_scales = normal(vectors, 0.02f);
    const std::vector<float> qkv =
        normal(size_t(n) * (batch.heads + 2 * kv_heads) * batch.head_dim, 1);
    const std::vector<float> slopes = normal(batch.heads, 0.1f);
    std::vector<float> partials(1 << 20);
    std::vector<unsigned> arrivals(4096);
    AttentionCall call{.n = n,
                       .num_seqs = sequences,
                       .qkv = qkv.data(),
                       .cu_seqlens = cu_seqlens.data(),
                       .context_lens = batch.contexts.data(),
                       .block_tables = tables.data(),
                       .max_blocks = max_blocks,
                       .num_q = batch.heads,
                       .num_kv = kv_heads,
                       .head_dim = batch.head_dim,
                       .group = batch.group,
                       .scale = 1.0f / std::sqrt(static_cast<float>(batch.head_dim)),
                       .sliding_window = batch.sliding_window,
                       .alibi_slopes = batch.alibi ? slopes.data() : nullptr,
                       .k = k.data(),
                       .v = v.data(),
                       .k_scales = k_scales.data(),
                       .v_scales = v_scales.data(),
                       .cache_dtype = batch.cache,
                       .block_size = batch.block_size,
                       .partials = partials.data(),
                       .partial_floats = static_cast<int64_t>(partials.size()),
                       .arrivals = arrivals.data(),
                       .max_arrivals = static_cast<int64_t>(arrivals.size())};
    ASSERT_TRUE(attention_prefill_accepts(call) && attention_decode_accepts(call));
    std::vector<float> together(size_t(n) * batch.heads * batch.head_dim, -7.0f), alone = together;
    call.out = together.data();
    attention_prefill(call, nullptr);
    call.out = alone.data();
    attention_row_by_row(call, nullptr);
    int different = 0;
    for (size_t i = 0; i < together.size(); ++i) {
      if (std::bit_cast<uint32_t>(together[i]) == std::bit_cast<uint32_t>(alone[i])) continue;
      if (++different < 5) {
        ADD_FAILURE() << "row " << i / (batch.heads * batch.head_dim) << " element "
                      << i % (batch.heads * batch.head_dim) << ": " << together[i] << ", alone "
                      << alone[i];
      }
    }
    EXPECT_EQ(different, 0);
  }

  std::mt19937 generator_{1};
};

TEST_P(Prefill, HasTheBitsOfEachRowAlone) {
  expect_each_rows_bits({.rows = {70, 1, 33}, .contexts = {70, 40, 300}});
}

TEST_P(Prefill, HasThem_OverSeveralSplits_AfterAChunkOfThePrompt) {
  expect_each_rows_bits({.rows = {20, 40}, .contexts = {530, 290}, .heads = 4, .group = 2});
  // More splits than are merged at a time.
  expect_each_rows_bits({.rows = {17}, .contexts = {2200}, .heads = 1, .head_dim = 16});
}

TEST_P(Prefill, HasThem_WithASlidingWindow) {
  expect_each_rows_bits(
      {.rows = {40, 5}, .contexts = {600, 90}, .heads = 1, .sliding_window = 100});
  expect_each_rows_bits({.rows = {30}, .contexts = {330}, .heads = 1, .sliding_window = 3});
}

TEST_P(Prefill, HasThem_WithAlibi) {
  expect_each_rows_bits(
      {.rows = {36}, .contexts = {280}, .head_dim = 128, .block_size = 32, .alibi = true});
}

TEST_P(Prefill, HasThem_AtAnyHeadDim) {
  for (const DType cache : {DType::kBF16, DType::kI8}) {
    for (const int head_dim : {8, 80, 96, 192, 256}) {
      if (cache == DType::kI8 && head_dim % 16 != 0) continue;
      expect_each_rows_bits({.rows = {18, 20},
                             .contexts = {18, 70},
                             .heads = 1,
                             .head_dim = head_dim,
                             .block_size = 4,
                             .cache = cache});
    }
  }
}

TEST_P(Prefill, HasThem_OverAnInt8Cache) {
  expect_each_rows_bits({.rows = {20, 40},
                         .contexts = {530, 290},
                         .heads = 4,
                         .group = 2,
                         .sliding_window = 300,
                         .alibi = true,
                         .cache = DType::kI8});
}

TEST_P(Prefill, HasThem_WhereSharedMemoryIsShort) {
  cuda_emulation::set_compute_capability(8, 6);
  expect_each_rows_bits({.rows = {20, 40}, .contexts = {530, 290}, .heads = 1, .head_dim = 128});
}

INSTANTIATE_TEST_SUITE_P(Orders, Prefill,
                         ::testing::Values(cuda_emulation::Order::kForward,
                                           cuda_emulation::Order::kBackward));

}  // namespace
}  // namespace octet::cuda
