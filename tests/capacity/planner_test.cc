#include "runtime/capacity/planner.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "runtime/request/error.h"

namespace octet {
namespace {

CapacityPlan plan_gpt3(PlanRequest request, const std::string& hardware = "h200") {
  request.options.model = "gpt3-175b";
  request.options.load_format = "dummy";
  request.options.max_num_seqs = 1;
  if (request.tensor_parallel_sizes.empty()) request.tensor_parallel_sizes = {8};
  return plan_capacity(request, load_profile(hardware), nullptr, load_costs(""));
}

// Weights 175 GB over 8 x 4.8 TB/s; K and V of a sequence 9.66 GB over the same; and 193 reduces.
TEST(Planner, Gpt3OnEightH200_HasTheFloorsOfBytesOverBandwidth) {
  const CapacityPlan plan = plan_gpt3({.batches = {1, 8, 32, 64, 128}});
  const GroupPlan& group = plan.groups[0];
  EXPECT_NEAR(group.weights_floor * 1e3, 4.55, 0.03);
  const double bytes = 2.0 * 96 * 12288 * 2 * 2048;
  const double attention = bytes / 8 / 4.8e12;
  const double expected[] = {5.5, 8.0, 15.0, 23.7};
  for (size_t i = 0; i < 4; ++i) {
    const StepCost& step = group.batches[i].step;
    EXPECT_NEAR(step.attention, group.batches[i].batch * attention, 1e-3 * step.attention);
    EXPECT_NEAR(step.total() * 1e3, expected[i], 0.1 * expected[i]) << group.batches[i].batch;
  }
}

TEST(Planner, Batch128OfGpt3DoesNotFitWith16BitKv_AndDoesWithInt8) {
  const CapacityPlan half = plan_gpt3({.batches = {64, 128}});
  EXPECT_TRUE(half.groups[0].batches[0].fits);
  EXPECT_FALSE(half.groups[0].batches[1].fits);
  EXPECT_NE(plan_text(half).find("does not fit"), std::string::npos);
  const CapacityPlan int8 = plan_gpt3({.options = {.kv_cache_dtype = "int8"}, .batches = {128}});
  EXPECT_TRUE(int8.groups[0].batches[0].fits);
}

TEST(Planner, ASizeThatDoesNotFitSaysWhatItNeedsAndOfWhat) {
  const CapacityPlan plan = plan_gpt3({.tensor_parallel_sizes = {1, 2, 4, 8}}, "h100");
  EXPECT_NE(plan.groups[0].why_not.find("weights alone"), std::string::npos);
  EXPECT_NE(plan.groups[1].why_not.find("weights alone"), std::string::npos);
  EXPECT_TRUE(plan.groups[2].why_not.empty()) << plan.groups[2].why_not;
  EXPECT_LT(plan.groups[2].sequences, plan.groups[3].sequences);
}

TEST(Planner, ALoadTakesTheFewestRanksThatHoldItsLimits) {
  PlanRequest request{.tensor_parallel_sizes = {4, 8},
                      .input_tokens = 512,
                      .output_tokens = 256,
                      .rate = 20,
                      .tpot_seconds = 0.030};
  const CapacityPlan plan = plan_gpt3(request);
  ASSERT_EQ(plan.clusters.size(), 2u);
  const ClusterPlan& best = plan.clusters[0];
  EXPECT_TRUE(best.why_not.empty()) << best.why_not;
  EXPECT_LE(best.tpot, request.tpot_seconds);
  EXPECT_LE(best.size * best.replicas, plan.clusters[1].size * plan.clusters[1].replicas);
  // As many requests as the groups at that batch give, and no group too many.
  PlanRequest at_best = request;
  at_best.tensor_parallel_sizes = {best.size};
  at_best.batches = {best.batch};
  const double one =
      plan_gpt3(at_best).groups[0].batches[0].requests_per_second * request.utilization;
  EXPECT_GE(best.replicas * one, request.rate);
  EXPECT_LT((best.replicas - 1) * one, request.rate);
  EXPECT_GT(best.bill.million_tokens, 0);

  request.tpot_seconds = 0.001;
  const CapacityPlan hopeless = plan_gpt3(request);
  EXPECT_NE(hopeless.clusters[0].why_not.find("one request alone has"), std::string::npos);
}

TEST(Planner, AnAnswerOfOneTokenHasNoTimePerToken_AndARequestAloneWaitsForNobody) {
  const PlanRequest request{
      .tensor_parallel_sizes = {8}, .batches = {1}, .input_tokens = 1024, .output_tokens = 1};
  const BatchPlan one = plan_gpt3(request).groups[0].batches[0];
  EXPECT_EQ(one.tpot_loaded, 0);
  EXPECT_DOUBLE_EQ(one.requests_per_second, 1 / one.ttft);
  PlanRequest longer = request;
  longer.output_tokens = 2;
  const BatchPlan alone = plan_gpt3(longer).groups[0].batches[0];
  EXPECT_DOUBLE_EQ(alone.tpot_loaded, alone.step.total());
  EXPECT_DOUBLE_EQ(alone.ttft_loaded, alone.ttft);
}

TEST(Planner, WhatIsMissingIsSaid) {
  HardwareProfile bare = load_profile("h200");
  bare.name = "bare";
  bare.tables.clear();
  bare.facts.erase("node_power");
  PlanRequest request{
      .tensor_parallel_sizes = {8}, .input_tokens = 512, .output_tokens = 256, .rate = 1};
  request.options.model = "gpt3-175b";
  request.options.load_format = "dummy";
  const std::string text = plan_text(plan_capacity(request, bare, nullptr, load_costs("")));
  for (const char* missing : {"no table \"reduce\"", "no fact node_power", "device_hour.bare"}) {
    EXPECT_NE(text.find(missing), std::string::npos) << missing;
  }
}

TEST(Planner, TheJsonAndThePageHoldTheTextsFigures) {
  const CapacityPlan plan = plan_gpt3({.batches = {8}});
  const auto json = nlohmann::json::parse(plan_json(plan));
  EXPECT_EQ(json["groups"][0]["ledger"]["weights"], plan.groups[0].ledger.weights);
  EXPECT_DOUBLE_EQ(json["groups"][0]["batches"][0]["step_seconds"],
                   plan.groups[0].batches[0].step.total());
  const std::string page = plan_html(plan);
  EXPECT_NE(page.find("<svg"), std::string::npos);
  EXPECT_EQ(page.find("http://"), std::string::npos);
}

TEST(Planner, WhatCannotBeAskedIsRefusedByItsFlag) {
  PlanRequest request{.rate = 1};
  EXPECT_THROW(plan_gpt3(request), InputError);
  EXPECT_THROW(plan_gpt3({}, "infiniband"), InputError);
  EXPECT_THROW(plan_gpt3({.input_tokens = 2000, .output_tokens = 100}), InputError);
  EXPECT_THROW(plan_gpt3({.tensor_parallel_sizes = {9}}), InputError);
  EXPECT_THROW(plan_gpt3({.output_tokens = 100}), InputError);
  EXPECT_THROW(plan_gpt3({.context = 4096}), InputError);
  EXPECT_THROW(plan_gpt3({.ttft_seconds = 1}), InputError);
}

}  // namespace
}  // namespace octet
