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

TEST(BlockAllocator, ABlockIsFreeWhenItsLastHolderGivesItBack) {
  BlockAllocator allocator(2);
  const int32_t block = allocator.take();
  allocator.share(block);
  allocator.give(block);
  EXPECT_EQ(allocator.free(), 1);
  allocator.give(block);
  EXPECT_EQ(allocator.free(), 2);
}

TEST(BlockAllocator, KeptBlocksAreTakenLast_TheOneKeptLongestFirst) {
  BlockAllocator allocator(4);
  for (int i = 0; i < 4; ++i) EXPECT_EQ(allocator.take(), i);
  allocator.give_to_keep(2);
  allocator.give_to_keep(0);
  allocator.give(3);
  allocator.give(1);
  allocator.share(0);  // found again while it was free
  allocator.give_to_keep(0);
  std::vector<int32_t> taken;
  while (allocator.free() > 0) taken.push_back(allocator.take());
  EXPECT_EQ(taken, (std::vector<int32_t>{1, 3, 2, 0}));
  for (const int32_t block : taken) allocator.give(block);
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
