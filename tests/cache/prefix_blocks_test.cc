#include "runtime/cache/prefix_blocks.h"

#include <gtest/gtest.h>

namespace octet {
namespace {

TEST(PrefixBlocks, TheSameTokensAfterAnotherBeginningAreAnotherBlock) {
  PrefixBlocks known(8);
  const std::vector<int32_t> a{1, 2}, b{3, 4};
  const auto after_a = known.add({}, a, 0);
  const auto after_b = known.add({}, b, 1);
  known.add(after_a, b, 2);
  EXPECT_EQ(known.find({}, a).block, 0);
  EXPECT_EQ(known.find({}, b).block, 1);
  EXPECT_EQ(known.find(after_a, b).block, 2);
  EXPECT_EQ(known.find(after_b, b).block, -1);
}

TEST(PrefixBlocks, ABeginningThatIsKnownStaysWithItsBlock) {
  PrefixBlocks known(8);
  const std::vector<int32_t> a{1, 2};
  const PrefixBlocks::Prefix first = known.add({}, a, 3);
  EXPECT_EQ(known.add({}, a, 5), first);
  EXPECT_EQ(known.find({}, a).block, 3);
  EXPECT_TRUE(known.has(3));
  EXPECT_FALSE(known.has(5));
}

TEST(PrefixBlocks, WhatFollowsAForgottenBlockIsNotFoundAgain) {
  PrefixBlocks known(8);
  const std::vector<int32_t> a{1, 2}, b{3, 4};
  const auto after_a = known.add({}, a, 0);
  known.add(after_a, b, 1);
  known.forget(0);
  known.forget(0);
  EXPECT_EQ(known.find({}, a).block, -1);
  EXPECT_FALSE(known.has(0));
  const auto again = known.add({}, a, 4);
  EXPECT_NE(again, after_a);
  EXPECT_EQ(known.find(again, b).block, -1);
}

}  // namespace
}  // namespace octet
