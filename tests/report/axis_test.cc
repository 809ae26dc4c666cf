#include "runtime/report/axis.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace octet {
namespace {

TEST(Axis, TicksAreRoundAndCoverTheRange) {
  EXPECT_EQ(Axis(Scale::kLinear, 0, 98, 0, 1).ticks(),
            (std::vector<double>{0, 20, 40, 60, 80, 100}));
  EXPECT_EQ(Axis(Scale::kLinear, 0.3, 1.1, 0, 1).ticks().front(), 0.2);
  EXPECT_EQ(Axis(Scale::kLog, 3, 40, 0, 1).ticks(), (std::vector<double>{2, 5, 10, 20, 50}));
}

TEST(Axis, PixelsGrowWithTheValueOrItsLogarithm) {
  const Axis linear(Scale::kLinear, 0, 100, 10, 110);
  EXPECT_DOUBLE_EQ(linear.pixel(0), 10);
  EXPECT_DOUBLE_EQ(linear.pixel(25), 35);
  const Axis log(Scale::kLog, 1, 100, 0, 200);
  EXPECT_NEAR(log.pixel(10), 100, 1e-9);
  EXPECT_FALSE(log.holds(0));
  EXPECT_FALSE(linear.holds(std::numeric_limits<double>::quiet_NaN()));
}

TEST(Axis, AnyRangeGetsAFewFiniteTicks) {
  const double inf = std::numeric_limits<double>::infinity();
  const std::pair<double, double> ranges[] = {{0, 0},      {5, 5},      {-3, -3},
                                              {inf, -inf}, {0, 1e-300}, {-1e300, 1e300},
                                              {1, 1e12},   {0, 7},      {1e9, 1e9 + 1}};
  for (const auto& [low, high] : ranges) {
    for (const Scale scale : {Scale::kLinear, Scale::kLog}) {
      const Axis axis(scale, low, high, 0, 100);
      EXPECT_GE(axis.ticks().size(), 2) << low << " " << high;
      EXPECT_LE(axis.ticks().size(), 16) << low << " " << high;
      for (const double tick : axis.ticks()) {
        EXPECT_TRUE(std::isfinite(axis.pixel(tick))) << low << " " << high << " " << tick;
      }
    }
  }
}

TEST(Axis, LargeNumbersHaveUnits) {
  EXPECT_EQ(tick_text(1500000), "1.5M");
  EXPECT_EQ(tick_text(20000), "20k");
  EXPECT_EQ(tick_text(2500), "2500");
  EXPECT_EQ(tick_text(0.002), "0.002");
}

}  // namespace
}  // namespace octet
