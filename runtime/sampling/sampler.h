// Sampler: from one row of logits to a token. Every sum has one order, so the same row gives the
// same token and the same log-probability bits. Holds scratch memory; one thread.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "runtime/request/request.h"

namespace octet {

struct SampledToken {
  int32_t token = -1;
  float logprob = 0.0f;  // under the unscaled, untruncated distribution
};

class Sampler {
 public:
  // position: of the token to be drawn, in the whole sequence; with the seed it fixes the draw.
  // Greedy takes the lowest id among equals. Order of the filters: temperature, top_k, top_p.
  SampledToken sample(std::span<const float> logits,  // [vocab_size]
                      const SamplingParams& sampling, uint64_t position);

 private:
  int32_t draw(std::span<const float> logits, const SamplingParams& sampling, uint64_t position);

  std::vector<int32_t> order_;   // candidate ids, likeliest first
  std::vector<double> weights_;  // of the candidates, not normalised
};

// log(sum(exp(logits))), float exponentials added in double in one fixed order.
double log_sum_exp(std::span<const float> logits);

// ln p(token) of one row of logits.
float log_probability(std::span<const float> logits, int32_t token);

}  // namespace octet
