#include "runtime/bench/metrics.h"

#include <gtest/gtest.h>

#include "runtime/bench/bench_report.h"
#include "tests/formats/expect_input_error.h"

namespace octet {
namespace {

// Due at 1, sent at 1.1; tokens at 1.5, 1.7 and, two together, 2.1; ended at 2.2.
Record answered() {
  return {.due = 1,
          .sent = 1.1,
          .end = 2.2,
          .arrivals = {1.5, 1.7, 2.1},
          .prompt_tokens = 10,
          .output_tokens = 4};
}

Record failed(const std::string& why) {
  return {.index = 1, .due = 1, .sent = 1, .end = 1.5, .error = why};
}

TEST(Metrics, LatenciesCountFromWhenARequestWasDue) {
  const Metrics metrics = metrics_of({.records = {answered()}, .planned = 1, .seconds = 1.2});
  EXPECT_NEAR(metrics.of(Latency::kTtft).mean(), 0.5, 1e-12);
  EXPECT_NEAR(metrics.of(Latency::kTpot).mean(), 0.2, 1e-12);
  EXPECT_NEAR(metrics.of(Latency::kE2e).mean(), 1.2, 1e-12);
  EXPECT_EQ(metrics.of(Latency::kItl).count(), 2);
  EXPECT_NEAR(metrics.of(Latency::kItl).max(), 0.4, 1e-12);
  EXPECT_NEAR(metrics.send_lag.max(), 0.1, 1e-12);
  EXPECT_NEAR(metrics.per_second(static_cast<double>(metrics.output_tokens)), 4 / 1.2, 1e-9);
}

TEST(Metrics, AnAnswerOfOneTokenHasNoTimePerToken) {
  Record one = answered();
  one.arrivals.resize(1);
  one.output_tokens = 1;
  EXPECT_TRUE(metrics_of({.records = {one}}).of(Latency::kTpot).empty());
}

TEST(Metrics, FailuresAreCountedByWhatTheySayAndLeftOutOfLatencies) {
  Record silent = answered();
  silent.arrivals.clear();
  const Metrics metrics = metrics_of(
      {.records = {failed("a"), answered(), failed("b"), failed("b"), silent}, .seconds = 1});
  EXPECT_EQ(metrics.completed, 1);
  EXPECT_EQ(metrics.failed, 4);
  EXPECT_EQ(metrics.of(Latency::kTtft).count(), 1);
  ASSERT_EQ(metrics.errors.size(), 3);
  EXPECT_EQ(metrics.errors[0].line, "b");
  EXPECT_EQ(metrics.errors[0].count, 2);
  EXPECT_EQ(failure_line(metrics), "4 of 5 requests failed; 2 of them: b");
}

TEST(Metrics, GoodRequestsKeepEveryLimit) {
  const auto good = [](const std::vector<RequestLimit>& limits) {
    return metrics_of({.records = {answered()}, .seconds = 1}, limits).good;
  };
  EXPECT_EQ(good({}), 1);
  EXPECT_EQ(good({{Latency::kTtft, 0.51}, {Latency::kTpot, 0.21}, {Latency::kE2e, 1.21}}), 1);
  EXPECT_EQ(good({{Latency::kTtft, 0.51}, {Latency::kTpot, 0.19}}), 0);
}

TEST(Metrics, LimitsAreKeptByStatisticsAndNeverWithFailures) {
  Metrics metrics = metrics_of({.records = {answered()}, .seconds = 1});
  EXPECT_TRUE(metrics.keeps({parse_statistic_limit("p99_ttft:501")}));
  EXPECT_FALSE(metrics.keeps({parse_statistic_limit("mean_tpot:199")}));
  EXPECT_TRUE(metrics.keeps({parse_statistic_limit("max_itl:401")}));
  metrics.failed = 1;
  EXPECT_FALSE(metrics.keeps({}));
}

TEST(Limits, AreReadOrRefusedWithTheirText) {
  EXPECT_EQ(parse_request_limit("ttft:200").seconds, 0.2);
  EXPECT_EQ(parse_statistic_limit("p99.9_tpot:50").percent, 99.9);
  EXPECT_EQ(parse_statistic_limit("mean_e2el:50").percent, kMean);
  for (const char* text : {"", "ttft", "ttft:", "ttft:0", "ttft:-1", "itl:5", "x:5", "ttft:5ms"})
    EXPECT_INPUT_ERROR(parse_request_limit(text), std::string("'") + text + "'");
  for (const char* text :
       {"", "ttft:5", "p101_ttft:5", "p_ttft:5", "px_ttft:5", "p99_x:5", "p99_ttft"})
    EXPECT_INPUT_ERROR(parse_statistic_limit(text), std::string("'") + text + "'");
}

TEST(BenchReport, CarriesTheFiguresUnderVllmsNames) {
  LoadResult measurement{
      .records = {answered(), failed("said \"no\", twice")}, .planned = 2, .seconds = 2};
  const Metrics metrics = metrics_of(measurement);
  const BenchReport report{
      .settings = {{"model", "m"}}, .measurement = measurement, .metrics = metrics};
  const auto json = bench_json(report);
  EXPECT_EQ(json["completed"], 1);
  EXPECT_EQ(json["failed"], 1);
  EXPECT_EQ(json["output_throughput"], 2);
  EXPECT_NEAR(json["median_ttft_ms"].get<double>(), 500, 1e-6);
  EXPECT_NEAR(json["percentiles"]["e2el_ms"]["73"].get<double>(), 1200, 1e-6);
  const std::string csv = bench_csv(measurement);
  EXPECT_NE(csv.find("500.000,200.000,1200.000,\n"), std::string::npos) << csv;
  EXPECT_NE(csv.find("\"said \"\"no\"\", twice\""), std::string::npos) << csv;
  EXPECT_NE(bench_html(report).find("1 of 2 requests failed"), std::string::npos);
  EXPECT_NE(bench_text(report, {50, 99}).find("p99"), std::string::npos);
}

}  // namespace
}  // namespace octet
