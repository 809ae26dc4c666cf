// Sampler: from one row of logits to a token. It walks the tokens likeliest first with the back
// end's sums, so whether a row's shortlist decides or the whole row has to, the token is the same.
// Holds scratch memory; one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "kernels/shortlist.h"
#include "runtime/request/request.h"

namespace octet {

struct SampledToken {
  int32_t token = -1;
  float logprob = 0.0f;  // under the unscaled, untruncated distribution
};

// What Backend::shortlist is told of a row to be sampled; 0: greedy.
float inverse_temperature(const SamplingParams& sampling);

class Sampler {
 public:
  // The row itself, [vocab_size]; asked for where the shortlist does not decide.
  using FullRow = std::function<std::span<const float>()>;

  explicit Sampler(int vocab_size) : vocab_size_(static_cast<size_t>(vocab_size)) {}

  // list: made with inverse_temperature(sampling). position: of the token to be drawn, in the whole
  // sequence; with the seed it fixes the draw. Order of the filters: temperature, top_k, top_p.
  // Where the row is not finite the log-probability is not either, and there is no token.
  SampledToken sample(const Shortlist& list, const SamplingParams& sampling, uint64_t position,
                      const FullRow& row);

 private:
  struct Candidate {
    int32_t id;
    float logit;
    double weight;  // not normalised
  };

  Candidate draw(const Shortlist& list, const SamplingParams& sampling, double uniform,
                 const FullRow& row);
  Candidate draw_from_all(const Shortlist& list, double uniform, const FullRow& row);
  bool reach(size_t i, const FullRow& row);  // candidates_[i] is there; false: nothing is
  double weight(float logit) const;

  const size_t vocab_size_;
  // Of the row at hand.
  float top_ = 0;
  double inverse_ = 0;                 // of the temperature
  std::vector<Candidate> candidates_;  // likeliest first
  std::span<const float> row_;
  std::vector<int32_t> order_;  // all ids, those of the candidates in place; empty: not needed yet
};

}  // namespace octet
