// Tensors, element types, digits, the arena, and the reduction tree.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

#include "kernels/arena.h"
#include "kernels/cpu/cpu_backend.h"
#include "kernels/reduction_tree.h"
#include "kernels/tensor.h"

namespace octet {
namespace {

TEST(DType, EveryHalfSurvivesTheWayThroughFloat) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto half = static_cast<uint16_t>(bits);
    if (std::isnan(f16_to_f32(half))) {
      EXPECT_TRUE(std::isnan(f16_to_f32(f32_to_f16(f16_to_f32(half)))));
    } else {
      ASSERT_EQ(f32_to_f16(f16_to_f32(half)), half);
    }
    if (!std::isnan(bf16_to_f32(half))) {
      ASSERT_EQ(f32_to_bf16(bf16_to_f32(half)), half);
    }
  }
}

TEST(DType, RoundsToNearestEven) {
  EXPECT_EQ(f16_to_f32(f32_to_f16(1.0f + 0x1p-11f)), 1.0f);
  EXPECT_EQ(f16_to_f32(f32_to_f16(1.0f + 3 * 0x1p-11f)), 1.0f + 0x1p-9f);
  EXPECT_EQ(f16_to_f32(f32_to_f16(65519.0f)), 65504.0f);
  EXPECT_TRUE(std::isinf(f16_to_f32(f32_to_f16(65520.0f))));
  EXPECT_EQ(f16_to_f32(f32_to_f16(0x1p-25f)), 0.0f);
  EXPECT_EQ(f16_to_f32(f32_to_f16(3 * 0x1p-25f)), 0x1p-23f);
  EXPECT_EQ(bf16_to_f32(f32_to_bf16(1.0f + 0x1p-8f)), 1.0f);
  EXPECT_EQ(bf16_to_f32(f32_to_bf16(1.0f + 3 * 0x1p-8f)), 1.0f + 0x1p-6f);
}

// Of every outlier that there is, in units of the scale: kernels need not divide to find them.
TEST(Digits, AnOutliersHighDigitIsTheNearestOfItsQuotient) {
  constexpr int kRow = 512, kMost = 127 * kHighDigit + 126;
  constexpr float kNone = std::numeric_limits<float>::infinity();
  for (const cpu::KernelTable* kernels : cpu_kernel_tables()) {
    if (!kernels->supported()) continue;
    for (int first = -kMost; first <= kMost; first += kRow - 1) {
      std::vector<float> x{127};  // the largest of the others, so that the scale is 1
      while (x.size() < kRow) {
        x.push_back(static_cast<float>(std::min(first + static_cast<int>(x.size()) - 1, kMost)));
      }
      std::vector<int8_t> low(kRow), high(kRow, 0);
      std::vector<uint8_t> groups(kRow / cpu::kGroup);
      cpu::QuantizedRow row;
      kernels->quantize(x.data(), kRow, kRow, 127.5f, kNone,
                        {.low = low.data(), .high = high.data(), .outlier_groups = groups.data()},
                        &row);
      ASSERT_EQ(row.scale, 1.0f);
      for (int k = 0; k < kRow; ++k) {
        const bool outlier = std::abs(x[k]) > 127;
        const int digit = outlier ? static_cast<int>(std::nearbyint(x[k] / kHighDigit)) : 0;
        ASSERT_EQ(high[k], digit) << x[k] << ", " << kernels->name;
        ASSERT_EQ(low[k], x[k] - static_cast<float>(kHighDigit * digit)) << x[k];
      }
    }
  }
}

TEST(Tensor, RowsShareTheStorage) {
  const Tensor tensor = Tensor::host(DType::kF32, {4, 3});
  tensor.rows(1, 3).data<float>()[0] = 5;
  EXPECT_EQ(tensor.data<float>()[3], 5);
  EXPECT_EQ(tensor.rows(2, 2).numel(), 0);
  EXPECT_DEATH(tensor.rows(3, 5), "rows \\[3, 5\\) of \\[4, 3\\]");
}

TEST(Arena, HandsOutAlignedMemoryAndNamesWhatDoesNotFit) {
  Arena arena(Tensor::host(DType::kU8, {1024}));
  arena.allocate(DType::kF32, {3});
  const size_t mark = arena.used();
  EXPECT_EQ(reinterpret_cast<uintptr_t>(arena.allocate(DType::kF32, {100}).raw_data()) % 64, 0u);
  arena.release(mark);
  EXPECT_EQ(arena.used(), arena_bytes(DType::kF32, {3}));
  EXPECT_EQ(arena.high_water(), 64u + 448u);
  EXPECT_DEATH(arena.allocate(DType::kF32, {300}), "F32 \\[300\\] asked for");
}

// The definition, word for word: value(node) = value(left) + value(right).
float tree_value(const std::vector<float>& leaves, int begin, int end) {
  if (end - begin == 1) return leaves[begin];
  int left = 1;
  while (left * 2 < end - begin) left *= 2;
  return tree_value(leaves, begin, begin + left) + tree_value(leaves, begin + left, end);
}

TEST(ReductionTree, AnyNumberOfRanksFoldsToTheBitsOfTheDefinition) {
  std::mt19937 generator(1);
  std::normal_distribution<float> normal(0, 1000);
  int orders_that_show = 0;
  for (int shards = 1; shards <= 16; ++shards) {
    std::vector<float> leaves(shards);
    for (float& leaf : leaves) leaf = normal(generator);
    const float expected = tree_value(leaves, 0, shards);
    float in_order = 0;
    for (const float leaf : leaves) in_order += leaf;
    orders_that_show += in_order != expected;
    for (int size = 1; size <= shards + 2; ++size) {
      std::vector<ShardRange> nodes;
      std::vector<float> slots;
      int next = 0;
      for (int rank = 0; rank < size; ++rank) {
        const ShardRange run = rank_shards(shards, rank, size);
        ASSERT_EQ(run.begin, next);
        next = run.end;
        for (const ShardRange root : subtree_roots(shards, run)) {
          nodes.push_back(root);
          slots.push_back(tree_value(leaves, root.begin, root.end));
        }
      }
      ASSERT_EQ(next, shards);
      for (const TreeAdd& add : fold_order(shards, {0, shards}, nodes))
        slots[add.target] += slots[add.source];
      ASSERT_EQ(slots[0], expected) << shards << " shards on " << size << " ranks";
    }
  }
  EXPECT_GT(orders_that_show, 5);  // else the test could not tell a wrong order
}

TEST(ReductionTree, ARankSendsOneRootWhereTheRanksDivideTheShards) {
  for (const int size : {1, 2, 4, 8}) {
    for (int rank = 0; rank < size; ++rank)
      EXPECT_EQ(subtree_roots(8, rank_shards(8, rank, size)).size(), 1u);
  }
}

}  // namespace
}  // namespace octet
