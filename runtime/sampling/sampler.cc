#include "runtime/sampling/sampler.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "runtime/sampling/philox.h"

namespace octet {

// Within limits where neither it nor a product with it becomes an infinity or 0.
float inverse_temperature(const SamplingParams& sampling) {
  if (sampling.temperature == 0.0f) return 0.0f;
  return std::clamp(1.0f / sampling.temperature, 1e-30f, 1e30f);
}

double Sampler::weight(float logit) const { return std::exp((logit - top_) * inverse_); }

// Ranks four times as many each time that it has to.
bool Sampler::reach(size_t i, const FullRow& row) {
  const size_t known = candidates_.size();
  if (i < known) return true;
  if (known == vocab_size_) return false;
  const bool first_time = order_.empty();
  if (first_time) {
    row_ = row();
    order_.resize(vocab_size_);
    std::iota(order_.begin(), order_.end(), 0);
  }
  const size_t next = std::min(vocab_size_, std::max<size_t>(i + 1, 4 * known));
  std::partial_sort(
      order_.begin() + (first_time ? 0 : known), order_.begin() + next, order_.end(),
      [&](int32_t a, int32_t b) { return row_[a] > row_[b] || (row_[a] == row_[b] && a < b); });
  for (size_t place = known; place < next; ++place) {
    const float logit = row_[order_[place]];
    candidates_.push_back({order_[place], logit, weight(logit)});
  }
  return true;
}

Sampler::Candidate Sampler::draw_from_all(const Shortlist& list, double uniform,
                                          const FullRow& row) {
  double left = uniform * list.mass;
  for (const Candidate& candidate : candidates_) {
    left -= candidate.weight;
    if (left < 0) return candidate;
  }
  const Candidate last = candidates_.back();
  if (candidates_.size() == vocab_size_) return last;
  row_ = row();
  for (int32_t id = 0; id < static_cast<int32_t>(vocab_size_); ++id) {
    const float logit = row_[id];
    if (logit > last.logit || (logit == last.logit && id <= last.id)) continue;  // is in the list
    left -= weight(logit);
    if (left < 0) return {id, logit, 0};
  }
  return last;  // the mass is the back end's sum, a little more than the host's
}

Sampler::Candidate Sampler::draw(const Shortlist& list, const SamplingParams& sampling,
                                 double uniform, const FullRow& row) {
  const bool all = sampling.top_k == 0 || static_cast<size_t>(sampling.top_k) >= vocab_size_;
  if (all && sampling.top_p >= 1.0f) return draw_from_all(list, uniform, row);
  size_t keep = all ? vocab_size_ : static_cast<size_t>(sampling.top_k);
  double mass = all ? list.mass : 0;
  if (!all) {
    for (size_t i = 0; i < keep && reach(i, row); ++i) mass += candidates_[i].weight;
  }
  if (sampling.top_p < 1.0f) {
    const double wanted = sampling.top_p * mass;
    mass = 0;
    size_t used = 0;
    while (used < keep && mass < wanted && reach(used, row)) mass += candidates_[used++].weight;
    keep = used;
  }
  double left = uniform * mass;
  for (size_t i = 0; i + 1 < keep; ++i) {
    left -= candidates_[i].weight;
    if (left < 0) return candidates_[i];
  }
  return candidates_[keep - 1];
}

SampledToken Sampler::sample(const Shortlist& list, const SamplingParams& sampling,
                             uint64_t position, const FullRow& row) {
  const double norm = list.log_sum_exp();
  if (!std::isfinite(norm)) return {.token = -1, .logprob = static_cast<float>(norm)};
  top_ = list.logits[0];
  inverse_ = inverse_temperature(sampling);
  order_.clear();
  candidates_.clear();
  for (int i = 0; i < list.size; ++i) {
    candidates_.push_back({list.ids[i], list.logits[i], weight(list.logits[i])});
  }
  const Candidate drawn = inverse_ == 0
                              ? candidates_[0]
                              : draw(list, sampling, uniform_draw(sampling.seed, position), row);
  return {drawn.id, static_cast<float>(drawn.logit - norm)};
}

}  // namespace octet
