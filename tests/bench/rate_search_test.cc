#include "runtime/bench/rate_search.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace octet {
namespace {

// A queue whose latency grows without bound as the rate nears `capacity`; the limit is met up to
// capacity - 1.
SearchResult search(double capacity, double first_rate, SearchOptions options,
                    int most_probes = 100) {
  return find_highest_rate(first_rate, options, [&](double rate, RateProbe& probe) {
    if (--most_probes < 0) return AfterProbe::kDiscard;
    const double latency = rate < capacity ? 1 / (capacity - rate) : 1e9;
    probe.values = {latency};
    probe.kept = latency <= 1;
    return AfterProbe::kGoOn;
  });
}

TEST(RateSearch, FindsTheRateFromAboveAndFromBelow) {
  for (const double first : {0.01, 3.0, 49.0, 51.0, 10'000.0}) {
    const SearchResult found = search(51, first, {.tolerance = 0.01});
    EXPECT_LE(found.highest_kept, 50) << first;
    EXPECT_GE(found.highest_kept, 50 / 1.01) << first;
    EXPECT_GT(found.lowest_failed, 50) << first;
    EXPECT_TRUE(std::ranges::all_of(
        found.probes, [](const RateProbe& probe) { return probe.kept == (probe.rate <= 50); }));
  }
}

TEST(RateSearch, FromNearbyItTakesFewProbes) {
  EXPECT_LE(search(21, 17, {.tolerance = 0.02}).probes.size(), 7);
}

TEST(RateSearch, ALimitThatNoRateKeepsOrBreaksEndsAtTheBounds) {
  const SearchResult none = search(0, 1, {.least_rate = 0.1});
  EXPECT_EQ(none.highest_kept, 0);
  EXPECT_GT(none.probes.size(), 5);
  const SearchResult all = search(1e9, 1, {.most_rate = 100});
  EXPECT_EQ(all.lowest_failed, 0);
  EXPECT_GT(all.highest_kept, 80);
}

TEST(RateSearch, WhatWasFoundBeforeAnInterruptionIsKept) {
  const SearchResult found = search(1000, 1, {}, 3);
  EXPECT_EQ(found.probes.size(), 3);
  EXPECT_EQ(found.highest_kept, found.probes.back().rate);
}

TEST(RateSearch, MostProbesOfARateDecide) {
  int probes = 0;
  const auto disturbed = [&](double rate, RateProbe& probe) {  // each third probe says the opposite
    probe.kept = (rate <= 50) != (++probes % 3 == 0);
    return AfterProbe::kGoOn;
  };
  const SearchOptions options{.tolerance = 0.01, .probes_of_rate = 3};
  const SearchResult found = find_highest_rate(40, options, disturbed);
  EXPECT_LE(found.highest_kept, 50);
  EXPECT_GT(found.lowest_failed, 50);
  EXPECT_LE(found.lowest_failed, found.highest_kept * 1.01);
  EXPECT_EQ(found.probes.size(), probes);
}

TEST(RateSearch, ARateWhoseProbesWereInterruptedIsNotDecided) {
  for (const bool kept : {false, true}) {
    int probes = 0;
    const SearchResult found =
        find_highest_rate(4, {.probes_of_rate = 3}, [&](double, RateProbe& probe) {
          probe.kept = kept;
          return ++probes == 2 ? AfterProbe::kDiscard : AfterProbe::kGoOn;
        });
    EXPECT_EQ(found.probes.size(), 1);
    EXPECT_EQ(found.highest_kept, 0);
    EXPECT_EQ(found.lowest_failed, 0);
  }
}

std::vector<Record> records(int slow, int quick) {
  std::vector<Record> all;
  for (int i = 0; i < slow + quick; ++i) {
    all.push_back({.end = 2, .arrivals = {i < slow ? 1.0 : 0.1}, .output_tokens = 1});
  }
  return all;
}

TEST(RateSearch, AProbeIsLostOnceTooManyRequestsAreOverTheLimit) {
  const std::vector<StatisticLimit> limits{parse_statistic_limit("p90_ttft:500")};
  EXPECT_FALSE(is_lost(records(10, 0), 100, limits));
  EXPECT_TRUE(is_lost(records(11, 0), 100, limits));
  EXPECT_FALSE(is_lost(records(0, 88), 100, limits));
  std::vector<Record> with_failure = records(0, 5);
  with_failure.back().error = "no";
  EXPECT_TRUE(is_lost(with_failure, 100, limits));
}

}  // namespace
}  // namespace octet
