#include "runtime/cache/block_allocator.h"

#include <gtest/gtest.h>

#include <set>

namespace octet {
namespace {

TEST(BlockAllocator, HandsOutEachBlockOnceUntilGivenBack) {
  BlockAllocator allocator(5);
  std::set<int32_t> blocks;
  for (int i = 0; i < 5; ++i) blocks.insert(allocator.take());
  EXPECT_EQ(blocks, (std::set<int32_t>{0, 1, 2, 3, 4}));
  EXPECT_EQ(allocator.free(), 0);
  for (const int32_t block : blocks) allocator.give(block);
  EXPECT_EQ(allocator.free(), 5);
}

TEST(BlockAllocatorDeath, ALeakedBlockIsNamedInTheDestructor) {
  EXPECT_DEATH(
      {
        BlockAllocator allocator(3);
        allocator.take();
      },
      "1 of 3 blocks were not given back");
}

TEST(BlockAllocatorDeath, GivingABlockTwiceIsABug) {
  EXPECT_DEATH(
      {
        BlockAllocator allocator(3);
        const int32_t block = allocator.take();
        allocator.give(block);
        allocator.give(block);
      },
      "is not taken");
}

}  // namespace
}  // namespace octet
