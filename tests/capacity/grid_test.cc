#include "runtime/capacity/grid.h"

#include <gtest/gtest.h>

namespace octet {
namespace {

double at(const Grid& grid, std::vector<double> point) { return grid.value(point); }

TEST(Grid, IsLinearBetweenItsPointsAndBeyondTheLast) {
  // 1 + 2 a + 3 b + 5 a b at a in {1, 2, 4}, b in {0, 10}: each axis linear with the other fixed.
  std::vector<double> values;
  for (const double a : {1.0, 2.0, 4.0}) {
    for (const double b : {0.0, 10.0}) values.push_back(1 + 2 * a + 3 * b + 5 * a * b);
  }
  const Grid grid({{"a", {1, 2, 4}}, {"b", {0, 10}}}, values);
  for (const double a : {1.0, 1.5, 3.0, 4.0, 100.0}) {
    for (const double b : {0.0, 4.0, 10.0, 50.0}) {
      EXPECT_NEAR(at(grid, {a, b}), 1 + 2 * a + 3 * b + 5 * a * b, 1e-9) << a << ", " << b;
    }
  }
}

TEST(Grid, BelowTheFirstPointNothingIsNegative) {
  const Grid steep({{"x", {10, 20}}}, {1, 100});
  EXPECT_DOUBLE_EQ(at(steep, {5}), 0.5);
  EXPECT_DOUBLE_EQ(at(steep, {0}), 0);
}

TEST(Grid, AnAxisOfOnePointIsFlat) {
  const Grid grid({{"x", {10}}, {"y", {1, 2}}}, {3, 5});
  EXPECT_DOUBLE_EQ(at(grid, {1000, 1.5}), 4);
}

}  // namespace
}  // namespace octet
