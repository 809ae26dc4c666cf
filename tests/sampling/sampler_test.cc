#include "runtime/sampling/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <random>

#include "kernels/backend_factory.h"
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

// What the CPU's back end makes of a row, and what the sampler makes of that.
class Sampling {
 public:
  explicit Sampling(std::vector<float> logits)
      : logits_(std::move(logits)),
        backend_(make_backend({.device = "cpu", .threads = 1})),
        sampler_(static_cast<int>(logits_.size())) {}

  SampledToken sample(const SamplingParams& sampling, uint64_t position) {
    make_list(sampling);
    asked_ = false;
    return sampler_.sample(list_, sampling, position, [&] {
      asked_ = true;
      return std::span<const float>(logits_);
    });
  }
  int32_t token(const SamplingParams& sampling, uint64_t position) {
    return sample(sampling, position).token;
  }
  bool asked() const { return asked_; }  // for the full row
  const Shortlist& list() const { return list_; }

  // Of a full sort, by the list's mass alone: the 64 likeliest come first, then the others by id.
  int32_t expected(const SamplingParams& sampling, uint64_t position) const {
    const size_t size = logits_.size(), listed = std::min<size_t>(size, kShortlist);
    std::vector<int32_t> order(size);
    std::iota(order.begin(), order.end(), 0);
    std::ranges::stable_sort(order, [&](int32_t a, int32_t b) { return logits_[a] > logits_[b]; });
    if (sampling.temperature == 0) return order[0];
    const double inverse = inverse_temperature(sampling);
    const auto sum = [&](size_t begin, size_t end) {
      double total = 0;
      for (size_t i = begin; i < end; ++i) {
        total += std::exp((logits_[order[i]] - logits_[order[0]]) * inverse);
      }
      return total;
    };
    const double uniform = uniform_draw(sampling.seed, position);
    size_t keep = sampling.top_k == 0 ? size : std::min<size_t>(size, sampling.top_k);
    double mass = keep == size ? list_.mass : sum(0, keep), left = uniform * mass;
    if (sampling.top_p < 1) {
      size_t used = 0;
      while (used < keep && sum(0, used) < sampling.top_p * mass) ++used;
      keep = used;
      left = uniform * sum(0, keep);
    } else if (keep == size && left >= sum(0, listed)) {
      std::ranges::sort(order.begin() + listed, order.end());
    }
    for (size_t i = 0; i + 1 < keep; ++i) {
      if (left < sum(0, i + 1)) return order[i];
    }
    return order[keep - 1];
  }

 private:
  void make_list(const SamplingParams& sampling) {
    float inverse = inverse_temperature(sampling);
    int32_t scored = -1;
    backend_->shortlist(
        {.logits =
             Tensor::view(logits_.data(), DType::kF32, {1, static_cast<int64_t>(logits_.size())}),
         .inverse_temperatures = Tensor::view(&inverse, DType::kF32, {1}),
         .scored_tokens = Tensor::view(&scored, DType::kI32, {1}),
         .out = Tensor::view(&list_, DType::kU8, {1, static_cast<int64_t>(sizeof list_)})});
  }

  std::vector<float> logits_;
  std::unique_ptr<Backend> backend_;
  Sampler sampler_;
  Shortlist list_{};
  bool asked_ = false;
};

TEST(Sampler, GreedyTakesTheLowestIdAmongEquals) {
  Sampling row({1, 5, 2, 5});
  const SampledToken sampled = row.sample({.temperature = 0}, 0);
  EXPECT_EQ(sampled.token, 1);
  const double sum = std::exp(1.0) + 2 * std::exp(5.0) + std::exp(2.0);
  EXPECT_FLOAT_EQ(sampled.logprob, static_cast<float>(5 - std::log(sum)));
}

TEST(Sampler, FrequenciesFollowTheDistribution) {
  Sampling row({std::log(0.5f), std::log(0.3f), std::log(0.2f)});
  std::map<int32_t, int> counts;
  constexpr int kDraws = 20000;
  for (int i = 0; i < kDraws; ++i) ++counts[row.token({.seed = 3}, i)];
  EXPECT_NEAR(counts[0], 0.5 * kDraws, 0.015 * kDraws);
  EXPECT_NEAR(counts[1], 0.3 * kDraws, 0.015 * kDraws);
  EXPECT_NEAR(counts[2], 0.2 * kDraws, 0.015 * kDraws);
}

TEST(Sampler, FrequenciesFollowTheDistribution_BehindTheShortlist) {
  std::vector<float> logits(300, 0.0f);
  for (size_t id = 200; id < 300; ++id) logits[id] = std::log(3.0f);  // three times as likely
  Sampling row(logits);
  constexpr int kDraws = 20000;
  int likely = 0, listed = 0, first = 0;
  for (int i = 0; i < kDraws; ++i) {
    const int32_t token = row.token({.seed = 5}, i);
    likely += token >= 200;
    listed += token >= 200 && token < 264;
    first += token < 100;
  }
  EXPECT_NEAR(likely, 0.6 * kDraws, 0.015 * kDraws);
  EXPECT_NEAR(listed, 0.6 * 0.64 * kDraws, 0.015 * kDraws);
  EXPECT_NEAR(first, 0.2 * kDraws, 0.015 * kDraws);
}

TEST(Sampler, TopKKeepsTheKLikeliest) {
  const auto logits = random_logits(500, 1);
  std::vector<float> sorted = logits;
  std::sort(sorted.rbegin(), sorted.rend());
  Sampling row(logits);
  for (const int k : {10, 100}) {
    for (int i = 0; i < 500; ++i) {
      EXPECT_GE(logits[row.token({.temperature = 5, .top_k = k}, i)], sorted[k - 1]);
      EXPECT_EQ(row.asked(), k > kShortlist);
    }
  }
}

TEST(Sampler, TopPKeepsTheSmallestNucleus) {
  Sampling row({std::log(0.1f), std::log(0.6f), std::log(0.25f), std::log(0.05f)});
  std::map<int32_t, int> counts;
  for (int i = 0; i < 5000; ++i) ++counts[row.token({.top_p = 0.8f}, i)];
  EXPECT_EQ(counts[0] + counts[3], 0);
  EXPECT_NEAR(counts[1], 5000 * 0.6 / 0.85, 150);
}

// Whether the list decides or the row has to: thousands of rows and parameters of every kind.
TEST(Sampler, DrawsWhatAFullSortDraws) {
  std::mt19937 generator(7);
  const auto one_of = [&](auto... values) {
    const std::vector<std::common_type_t<decltype(values)...>> all{values...};
    return all[generator() % all.size()];
  };
  int asked = 0, decided = 0;
  for (uint32_t i = 0; i < 4000; ++i) {
    std::vector<float> logits = random_logits(one_of(1, 3, 63, 64, 65, 200, 700), i);
    const float grain = one_of(0.0f, 0.0f, 0.5f);  // of equals
    for (float& logit : logits) {
      if (grain > 0) logit = std::round(logit / grain) * grain;
    }
    const SamplingParams sampling{.temperature = one_of(0.0f, 0.3f, 1.0f, 1.7f, 40.0f, 1e-42f),
                                  .top_k = one_of(0, 0, 1, 20, 64, 65, 150, 1000),
                                  .top_p = one_of(1.0f, 1.0f, 0.5f, 0.95f, 0.999f),
                                  .seed = i};
    Sampling row(logits);
    const SampledToken sampled = row.sample(sampling, i);
    ASSERT_EQ(sampled.token, row.expected(sampling, i))
        << logits.size() << " tokens, temperature " << sampling.temperature << ", top_k "
        << sampling.top_k << ", top_p " << sampling.top_p;
    EXPECT_EQ(sampled.logprob,
              static_cast<float>(logits[sampled.token] - row.list().log_sum_exp()));
    (row.asked() ? asked : decided) += 1;
  }
  EXPECT_GT(asked, 200);
  EXPECT_GT(decided, 2000);
}

TEST(Sampler, ARowThatIsNotFiniteHasNoToken) {
  for (const float bad : {NAN, INFINITY}) {
    for (const float temperature : {0.0f, 0.8f}) {
      std::vector<float> logits = random_logits(300, 4);
      logits[17] = bad;
      const SampledToken sampled = Sampling(logits).sample({.temperature = temperature}, 0);
      EXPECT_EQ(sampled.token, -1);
      EXPECT_FALSE(std::isfinite(sampled.logprob));
    }
  }
}

TEST(Sampler, ADrawDependsOnSeedAndPositionAlone) {
  const auto logits = random_logits(1000, 4);
  const SamplingParams sampling{.temperature = 1.5f, .seed = 99};
  std::vector<int32_t> forward, backward;
  Sampling first(logits), second(logits);
  for (int i = 0; i < 50; ++i) forward.push_back(first.token(sampling, i));
  for (int i = 49; i >= 0; --i) backward.push_back(second.token(sampling, i));
  std::reverse(backward.begin(), backward.end());
  EXPECT_EQ(forward, backward);
  SamplingParams other = sampling;
  other.seed = 100;
  std::vector<int32_t> reseeded;
  for (int i = 0; i < 50; ++i) reseeded.push_back(first.token(other, i));
  EXPECT_NE(forward, reseeded);
}

}  // namespace
}  // namespace octet
