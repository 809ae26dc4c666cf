#include "runtime/bench/workload.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "runtime/report/summary.h"
#include "tests/formats/expect_input_error.h"

namespace octet {
namespace {

Summary draws(const std::string& text, double range_ratio = 0) {
  const LengthDistribution lengths = LengthDistribution::parse(text, "--len", range_ratio);
  std::mt19937_64 random(5);
  std::vector<double> values;
  for (int i = 0; i < 20'000; ++i) values.push_back(lengths.draw(random));
  return Summary(values);
}

TEST(LengthDistribution, EachHasItsOwnFigures) {
  EXPECT_EQ(draws("128").min(), 128);
  EXPECT_EQ(draws("128").max(), 128);
  EXPECT_EQ(draws("uniform:64:256").min(), 64);
  EXPECT_EQ(draws("uniform:64:256").max(), 256);
  EXPECT_NEAR(draws("uniform:64:256").mean(), 160, 2);
  EXPECT_NEAR(draws("normal:500:50").mean(), 500, 2);
  EXPECT_NEAR(draws("normal:500:50").stddev(), 50, 2);
  EXPECT_NEAR(draws("lognormal:1000:0.5").median(), 1000, 20);
  EXPECT_NEAR(draws("lognormal:1000:0.5").mean(), 1000 * std::exp(0.125), 25);
  EXPECT_NEAR(draws("exponential:300").mean(), 300, 8);
}

TEST(LengthDistribution, ARangeRatioWidensANumber) {
  EXPECT_EQ(draws("100", 0.2).min(), 80);
  EXPECT_EQ(draws("100", 0.2).max(), 120);
}

TEST(LengthDistribution, NoDrawIsBelowOne) { EXPECT_EQ(draws("normal:1:50").min(), 1); }

TEST(LengthDistribution, WhatIsNoneIsRefusedByName) {
  for (const char* text : {"", "x", "0", "-3", "1e9", "nan", "uniform:5", "uniform:9:3",
                           "normal:1:2:3", "zipf:3", "lognormal::", "uniform:1:-1"}) {
    EXPECT_INPUT_ERROR(LengthDistribution::parse(text, "--random-input-len"),
                       std::string("--random-input-len is '") + text + "'");
  }
}

TEST(Workload, RandomPromptsHaveTheirLengthAndNothingInCommon) {
  PromptMaker ids(1000, 0, 1);
  const auto requests = plan_random({.input = LengthDistribution::parse("40", "in"),
                                     .output = LengthDistribution::parse("7", "out"),
                                     .count = 50,
                                     .seed = 1},
                                    ids);
  std::set<std::vector<int32_t>> different;
  for (const PlannedRequest& request : requests) {
    const auto& prompt = std::get<std::vector<int32_t>>(request.prompt);
    EXPECT_EQ(prompt.size(), 40);
    EXPECT_EQ(request.prompt_tokens, 40);
    EXPECT_EQ(request.max_tokens, 7);
    for (const int32_t id : prompt) EXPECT_TRUE(id >= 0 && id < 1000);
    different.insert(prompt);
  }
  EXPECT_EQ(different.size(), 50);
}

TEST(Workload, PromptsOfWordsHaveAWordAToken) {
  PromptMaker words(0, 3, 1);
  const std::string a = std::get<std::string>(words.make(12)),
                    b = std::get<std::string>(words.make(12));
  EXPECT_EQ(std::ranges::count(a, ' '), 11);
  size_t third = 0;
  for (int i = 0; i < 3; ++i) third = a.find(' ', third + 1);
  EXPECT_EQ(a.substr(0, third), b.substr(0, third));
  EXPECT_NE(a, b);
}

TEST(Workload, ATraceIsReplayedFasterAndShorterAsAsked) {
  PromptMaker ids(100, 0, 1);
  const Trace trace{.rows = {{.at = 0, .input_tokens = 100, .output_tokens = 10},
                             {.at = 8, .output_tokens = 1, .prompt = "as it was"}}};
  const auto requests = plan_trace(trace, 4, 0.1, ids);
  EXPECT_EQ(requests[0].prompt_tokens, 10);
  EXPECT_EQ(requests[0].max_tokens, 1);
  EXPECT_EQ(requests[1].at, 2);
  EXPECT_EQ(std::get<std::string>(requests[1].prompt), "as it was");
}

TEST(Workload, WhatDoesNotFitTheModelIsLeftOut) {
  std::vector<PlannedRequest> requests{{.prompt_tokens = 90, .max_tokens = 10},
                                       {.prompt_tokens = 91, .max_tokens = 10}};
  EXPECT_EQ(leave_out_too_long(requests, 0), 0);
  EXPECT_EQ(leave_out_too_long(requests, 100), 1);
  EXPECT_EQ(requests.size(), 1);
}

}  // namespace
}  // namespace octet
