#include "runtime/sampling/sampler.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <random>

#include "runtime/sampling/philox.h"

namespace octet {
namespace {

std::vector<float> random_logits(size_t n, uint32_t seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal(0, 3);
  std::vector<float> logits(n);
  for (float& logit : logits) logit = normal(generator);
  return logits;
}

// Known answers of Philox4x32-10, published with Random123.
TEST(Philox, MatchesPublishedAnswers) {
  EXPECT_EQ(philox4x32({0, 0, 0, 0}, {0, 0}),
            (std::array<uint32_t, 4>{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox4x32({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}),
            (std::array<uint32_t, 4>{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
}

TEST(Philox, DrawsAreUniformOverPositions) {
  double sum = 0, squares = 0;
  constexpr int kDraws = 20000;
  for (int i = 0; i < kDraws; ++i) {
    const double u = uniform_draw(7, i);
    ASSERT_GE(u, 0);
    ASSERT_LT(u, 1);
    sum += u;
    squares += u * u;
  }
  EXPECT_NEAR(sum / kDraws, 0.5, 0.01);
  EXPECT_NEAR(squares / kDraws, 1.0 / 3, 0.01);
}

TEST(LogSumExp, AgreesWithDoubleArithmetic) {
  for (const size_t n : {1u, 15u, 16u, 17u, 1000u, 49152u}) {
    const auto logits = random_logits(n, static_cast<uint32_t>(n));
    double sum = 0;
    for (const float logit : logits) sum += std::exp(static_cast<double>(logit));
    EXPECT_NEAR(log_sum_exp(logits), std::log(sum), 1e-6) << n;
  }
}

TEST(Sampler, GreedyTakesTheLowestIdAmongEquals) {
  const std::vector<float> logits{1, 5, 2, 5};
  const SampledToken sampled = Sampler().sample(logits, {.temperature = 0}, 0);
  EXPECT_EQ(sampled.token, 1);
  EXPECT_FLOAT_EQ(sampled.logprob, log_probability(logits, 1));
}

TEST(Sampler, FrequenciesFollowTheDistribution) {
  const std::vector<float> logits{std::log(0.5f), std::log(0.3f), std::log(0.2f)};
  std::map<int32_t, int> counts;
  Sampler sampler;
  constexpr int kDraws = 20000;
  for (int i = 0; i < kDraws; ++i) ++counts[sampler.sample(logits, {.seed = 3}, i).token];
  EXPECT_NEAR(counts[0], 0.5 * kDraws, 0.015 * kDraws);
  EXPECT_NEAR(counts[1], 0.3 * kDraws, 0.015 * kDraws);
  EXPECT_NEAR(counts[2], 0.2 * kDraws, 0.015 * kDraws);
}

TEST(Sampler, TopKKeepsTheKLikeliest) {
  const auto logits = random_logits(500, 1);
  std::vector<float> sorted = logits;
  std::sort(sorted.rbegin(), sorted.rend());
  Sampler sampler;
  for (int i = 0; i < 500; ++i) {
    const int32_t token = sampler.sample(logits, {.temperature = 5, .top_k = 10}, i).token;
    EXPECT_GE(logits[token], sorted[9]);
  }
}

TEST(Sampler, TopPKeepsTheSmallestNucleus) {
  const std::vector<float> logits{std::log(0.1f), std::log(0.6f), std::log(0.25f), std::log(0.05f)};
  std::map<int32_t, int> counts;
  Sampler sampler;
  for (int i = 0; i < 5000; ++i) ++counts[sampler.sample(logits, {.top_p = 0.8f}, i).token];
  EXPECT_EQ(counts[0] + counts[3], 0);
  EXPECT_NEAR(counts[1], 5000 * 0.6 / 0.85, 150);
}

TEST(Sampler, TopPOverALargeVocabularyAgreesWithAFullSort) {
  const auto logits = random_logits(3000, 2);
  const SamplingParams nucleus{.temperature = 2, .top_p = 0.9f};
  std::vector<int32_t> order(logits.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int32_t>(i);
  std::sort(order.begin(), order.end(), [&](int a, int b) { return logits[a] > logits[b]; });
  double total = 0, mass = 0;
  for (const float logit : logits) total += std::exp(logit / 2.0);
  size_t size = 0;
  while (mass < 0.9 * total) mass += std::exp(logits[order[size++]] / 2.0);
  Sampler sampler;
  for (int i = 0; i < 300; ++i) {
    EXPECT_GE(logits[sampler.sample(logits, nucleus, i).token], logits[order[size - 1]]);
  }
}

TEST(Sampler, ADrawDependsOnSeedAndPositionAlone) {
  const auto logits = random_logits(1000, 4);
  const SamplingParams sampling{.temperature = 1.5f, .seed = 99};
  std::vector<int32_t> forward, backward;
  Sampler first, second;
  for (int i = 0; i < 50; ++i) forward.push_back(first.sample(logits, sampling, i).token);
  for (int i = 49; i >= 0; --i) backward.push_back(second.sample(logits, sampling, i).token);
  std::reverse(backward.begin(), backward.end());
  EXPECT_EQ(forward, backward);
  SamplingParams other = sampling;
  other.seed = 100;
  std::vector<int32_t> reseeded;
  for (int i = 0; i < 50; ++i) reseeded.push_back(first.sample(logits, other, i).token);
  EXPECT_NE(forward, reseeded);
}

}  // namespace
}  // namespace octet
