#include "runtime/sampling/sampler.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "runtime/sampling/philox.h"

namespace octet {
namespace {

constexpr size_t kLanes = 8;  // partial results; element i goes to lane i % kLanes
using Floats = float __attribute__((vector_size(kLanes * sizeof(float))));
using Ints = int32_t __attribute__((vector_size(kLanes * sizeof(int32_t))));
using Doubles = double __attribute__((vector_size(kLanes * sizeof(double))));

Floats load(const float* values) {
  Floats lanes;
  std::memcpy(&lanes, values, sizeof lanes);
  return lanes;
}

// The last n < kLanes values, and `filler` behind them.
Floats load(std::span<const float> values, float filler) {
  Floats lanes = filler - Floats{};
  std::memcpy(&lanes, values.data(), values.size_bytes());
  return lanes;
}

// exp(x) for x <= 0 within 2 ulp: 2^n * p(r), with x = n ln 2 + r and p the Taylor polynomial of
// degree 7.
Floats exp_not_positive(Floats x) {
  constexpr float kLog2E = 1.44269504088896341f, kLn2High = 0.693359375f, kLn2Low = -2.12194440e-4f;
  x = x < -87.0f ? -87.0f - Floats{} : x;
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer
  const Floats shifted = x * kLog2E + kRound;
  const Floats n = shifted - kRound;
  const Floats r = (x - n * kLn2High) - n * kLn2Low;
  Floats p = 1.0f / 5040 - Floats{};
  for (const float c : {1.0f / 720, 1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1.0f, 1.0f}) {
    p = p * r + c;
  }
  const Ints exponent = reinterpret_cast<Ints>(shifted) << 23;  // shifted's low bits are n
  return reinterpret_cast<Floats>(reinterpret_cast<Ints>(p) + exponent);
}

float maximum(std::span<const float> values) {
  Floats lanes = load({}, -INFINITY);
  const size_t whole = values.size() / kLanes * kLanes;
  for (size_t i = 0; i < whole; i += kLanes) {
    const Floats v = load(values.data() + i);
    lanes = v > lanes ? v : lanes;
  }
  const Floats tail = load(values.subspan(whole), -INFINITY);
  lanes = tail > lanes ? tail : lanes;
  float result = lanes[0];
  for (size_t lane = 1; lane < kLanes; ++lane) result = std::max(result, lanes[lane]);
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
  Doubles sums{};
  const size_t whole = logits.size() / kLanes * kLanes;
  for (size_t i = 0; i < whole; i += kLanes) {
    sums += __builtin_convertvector(exp_not_positive(load(logits.data() + i) - top), Doubles);
  }
  const Floats tail = exp_not_positive(load(logits.subspan(whole), -INFINITY) - top);
  for (size_t lane = 0; lane < logits.size() - whole; ++lane) sums[lane] += tail[lane];
  double total = 0;
  for (size_t lane = 0; lane < kLanes; ++lane) total += sums[lane];
  return top + std::log(total);
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
