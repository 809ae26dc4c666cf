#include "runtime/bench/arrivals.h"

#include <gtest/gtest.h>

#include <cmath>

#include "runtime/report/summary.h"
#include "tests/formats/expect_input_error.h"

namespace octet {
namespace {

constexpr size_t kMany = 20'000;

Summary gaps_of(const std::vector<double>& times) {
  std::vector<double> gaps;
  for (size_t i = 1; i < times.size(); ++i) gaps.push_back(times[i] - times[i - 1]);
  return Summary(gaps);
}

TEST(Arrivals, WithoutARateAllAreDueAtOnce) {
  for (const double time : arrival_times({}, 100, 1)) EXPECT_EQ(time, 0);
}

TEST(Arrivals, AConstantRateIsAClock) {
  const std::vector<double> times = arrival_times({.rate = 8, .burstiness = kConstant}, 100, 1);
  for (size_t i = 0; i < times.size(); ++i) EXPECT_NEAR(times[i], i / 8.0, 1e-12);
}

TEST(Arrivals, GapsHaveTheMeanOfTheRateAndTheSpreadOfTheirBurstiness) {
  for (const double burstiness : {0.25, 1.0, 4.0}) {
    const Summary gaps = gaps_of(arrival_times({.rate = 5, .burstiness = burstiness}, kMany, 7));
    EXPECT_NEAR(gaps.mean(), 0.2, 0.002) << burstiness;
    EXPECT_NEAR(gaps.stddev() / gaps.mean(), 1 / std::sqrt(burstiness), 0.05) << burstiness;
  }
}

TEST(Arrivals, PoissonGapsAreExponential) {
  const Summary gaps = gaps_of(arrival_times({.rate = 1}, kMany, 3));
  for (const double percent : {10.0, 50.0, 90.0, 99.0}) {
    EXPECT_NEAR(gaps.percentile(percent) / -std::log(1 - percent / 100), 1, 0.06) << percent;
  }
}

TEST(Arrivals, OneSeedIsOnePatternAtEveryRate) {
  const std::vector<double> slow = arrival_times({.rate = 2}, 50, 9);
  const std::vector<double> fast = arrival_times({.rate = 6}, 50, 9);
  for (size_t i = 0; i < slow.size(); ++i) EXPECT_NEAR(slow[i], 3 * fast[i], 1e-9);
  EXPECT_NE(slow, arrival_times({.rate = 2}, 50, 10));
}

TEST(Arrivals, ARampEndsAtItsLastRate) {
  for (const Ramp::Kind kind : {Ramp::Kind::kLinear, Ramp::Kind::kExponential}) {
    const std::vector<double> times = arrival_times(
        {.burstiness = kConstant, .ramp = Ramp{.kind = kind, .start = 2, .end = 32}}, 1000, 1);
    EXPECT_NEAR(times[1] - times[0], 1 / 2.0, 0.01);
    EXPECT_NEAR(times[999] - times[998], 1 / 32.0, 0.001);
    const double middle = kind == Ramp::Kind::kLinear ? 17 : 8;
    EXPECT_NEAR(times[501] - times[500], 1 / middle, 0.005);
  }
}

TEST(Arrivals, WhatIsNoRateIsRefused) {
  EXPECT_INPUT_ERROR(arrival_times({.rate = 0}, 1, 1), "rate is 0");
  EXPECT_INPUT_ERROR(arrival_times({.rate = 1, .burstiness = -1}, 1, 1), "burstiness is -1");
  EXPECT_INPUT_ERROR(arrival_times({.ramp = Ramp{.start = 0}}, 1, 1), "first rate is 0");
}

}  // namespace
}  // namespace octet
