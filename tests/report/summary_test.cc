#include "runtime/report/summary.h"

#include <gtest/gtest.h>

namespace octet {
namespace {

TEST(Summary, PercentilesLieBetweenTheNearestRanks) {
  const Summary summary({4, 1, 3, 2});
  EXPECT_DOUBLE_EQ(summary.median(), 2.5);
  EXPECT_DOUBLE_EQ(summary.percentile(25), 1.75);
  EXPECT_DOUBLE_EQ(summary.percentile(99), 3.97);
  EXPECT_DOUBLE_EQ(summary.min(), 1);
  EXPECT_DOUBLE_EQ(summary.max(), 4);
  EXPECT_DOUBLE_EQ(summary.percentile(200), 4);
}

TEST(Summary, MeanAndDeviationAreThoseOfTheValues) {
  const Summary summary({2, 4, 4, 4, 5, 5, 7, 9});
  EXPECT_DOUBLE_EQ(summary.mean(), 5);
  EXPECT_DOUBLE_EQ(summary.stddev(), 2);
}

TEST(Summary, OneValueIsEveryPercentileAndNoneIsZero) {
  const Summary one({7});
  for (const double percent : {0.0, 13.0, 100.0}) EXPECT_DOUBLE_EQ(one.percentile(percent), 7);
  const Summary none;
  EXPECT_TRUE(none.empty());
  EXPECT_EQ(none.percentile(99), 0);
  EXPECT_EQ(none.mean(), 0);
}

}  // namespace
}  // namespace octet
