// Shortlist: what sampling needs to know of one row of logits; Backend::shortlist makes it.
#pragma once

#include <cmath>
#include <cstdint>

namespace octet {

inline constexpr int kShortlist = 64;

// Plain data, the same on the device and on the host.
struct Shortlist {
  // Over the whole row, of exp(l - logits[0]) and of exp((l - logits[0]) * inverse temperature);
  // the second is 0 for a greedy row. `sum` is not a number, and nothing else means anything, where
  // a logit is NaN or infinity, or all are -infinity.
  double sum, mass;
  // The likeliest tokens, likeliest first, the lower id first among equals.
  int32_t ids[kShortlist];   // [size], -1 behind
  float logits[kShortlist];  // [size], -infinity behind
  int32_t size;              // 1 of a greedy row, else what the row has, at most kShortlist
  float scored_logit;        // of the token that was named, else -infinity

  double log_sum_exp() const { return logits[0] + std::log(sum); }  // of the row
};

}  // namespace octet
