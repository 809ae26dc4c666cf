#include "runtime/sampling/sampler.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <numeric>

#include "runtime/sampling/philox.h"

namespace octet {
namespace {

constexpr size_t kLanes = 16;  // partial sums of log_sum_exp; element i goes to lane i % kLanes

// exp(x) for x <= 0 within 2 ulp, in plain arithmetic that a compiler vectorises without
// reordering: 2^n * p(r), with x = n ln 2 + r and p the Taylor polynomial of degree 7.
inline float exp_not_positive(float x) {
  constexpr float kLog2E = 1.44269504088896341f, kLn2High = 0.693359375f, kLn2Low = -2.12194440e-4f;
  x = std::max(x, -87.0f);
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer
  const float shifted = x * kLog2E + kRound;
  const float n = shifted - kRound;
  const float r = (x - n * kLn2High) - n * kLn2Low;
  float p = 1.0f / 5040;
  for (const float c : {1.0f / 720, 1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1.0f, 1.0f})
    p = p * r + c;
  int32_t bits;
  std::memcpy(&bits, &p, sizeof bits);
  int32_t exponent;
  std::memcpy(&exponent, &shifted, sizeof exponent);
  bits += exponent << 23;  // shifted's low bits are n
  float result;
  std::memcpy(&result, &bits, sizeof result);
  return result;
}

float maximum(std::span<const float> values) {
  std::array<float, kLanes> lanes;
  lanes.fill(-INFINITY);
  size_t i = 0;
  for (; i + kLanes <= values.size(); i += kLanes) {
    for (size_t lane = 0; lane < kLanes; ++lane) {
      lanes[lane] = values[i + lane] > lanes[lane] ? values[i + lane] : lanes[lane];
    }
  }
  float result = *std::max_element(lanes.begin(), lanes.end());
  for (; i < values.size(); ++i) result = std::max(result, values[i]);
  return result;
}

// The last id where no logit is a number; the log-probability then is not one either.
int32_t argmax(std::span<const float> logits) {
  const float best = maximum(logits);
  const auto place = std::find(logits.begin(), logits.end() - 1, best);
  return static_cast<int32_t>(place - logits.begin());
}

}  // namespace

double log_sum_exp(std::span<const float> logits) {
  const float top = maximum(logits);
  std::array<double, kLanes> lanes{};
  size_t i = 0;
  for (; i + kLanes <= logits.size(); i += kLanes) {
    std::array<float, kLanes> e;
    for (size_t lane = 0; lane < kLanes; ++lane) e[lane] = exp_not_positive(logits[i + lane] - top);
    for (size_t lane = 0; lane < kLanes; ++lane) lanes[lane] += e[lane];
  }
  for (; i < logits.size(); ++i) lanes[i % kLanes] += exp_not_positive(logits[i] - top);
  return top + std::log(std::accumulate(lanes.begin(), lanes.end(), 0.0));
}

float log_probability(std::span<const float> logits, int32_t token) {
  return static_cast<float>(logits[token] - log_sum_exp(logits));
}

int32_t Sampler::draw(std::span<const float> logits, const SamplingParams& sampling,
                      uint64_t position) {
  const auto likelier = [&](int32_t a, int32_t b) {
    return logits[a] > logits[b] || (logits[a] == logits[b] && a < b);
  };
  order_.resize(logits.size());
  std::iota(order_.begin(), order_.end(), 0);
  const double scale = 1.0 / sampling.temperature;
  const float top = maximum(logits);
  const auto weight = [&](int32_t id) { return std::exp((logits[id] - top) * scale); };

  size_t keep = order_.size();
  if (sampling.top_k > 0) keep = std::min<size_t>(keep, sampling.top_k);
  if (keep < order_.size()) {
    std::partial_sort(order_.begin(), order_.begin() + keep, order_.end(), likelier);
    order_.resize(keep);
  }
  const bool sorted = keep < logits.size();
  weights_.resize(keep);
  double total = 0;
  for (size_t i = 0; i < keep; ++i) total += weights_[i] = weight(order_[i]);

  if (sampling.top_p < 1.0f) {
    // Sorts only as far as the nucleus reaches: the likeliest `ready` ids, four times as many each
    // round.
    size_t ready = sorted ? keep : 0, used = 0;
    double mass = 0;
    const double wanted = sampling.top_p * total;
    while (used < keep && mass < wanted) {
      if (used == ready) {
        const size_t next = std::min(keep, std::max<size_t>(64, ready * 4));
        std::partial_sort(order_.begin() + ready, order_.begin() + next, order_.end(), likelier);
        ready = next;
      }
      weights_[used] = weight(order_[used]);
      mass += weights_[used++];
    }
    keep = used;
    total = mass;
  }
  double left = uniform_draw(sampling.seed, position) * total;
  for (size_t i = 0; i + 1 < keep; ++i) {
    left -= weights_[i];
    if (left < 0) return order_[i];
  }
  return order_[keep - 1];
}

SampledToken Sampler::sample(std::span<const float> logits, const SamplingParams& sampling,
                             uint64_t position) {
  const int32_t token =
      sampling.temperature == 0.0f ? argmax(logits) : draw(logits, sampling, position);
  return {token, log_probability(logits, token)};
}

}  // namespace octet
