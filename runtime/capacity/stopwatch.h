// Timed calls. One thread.
#pragma once

#include <chrono>
#include <utility>
#include <vector>

#include "runtime/report/summary.h"

namespace octet {

inline double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// Of several timings of one thing: their lower quartile, since what disturbs only adds.
inline double undisturbed(std::vector<double> seconds) {
  return Summary(std::move(seconds)).percentile(25);
}

// Of one call, `samples` timings of `calls` calls each.
template <typename Call>
double call_seconds(int samples, int calls, const Call& call) {
  std::vector<double> seconds;
  for (int sample = 0; sample < samples; ++sample) {
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < calls; ++i) call(sample * calls + i);
    seconds.push_back(seconds_since(start) / calls);
  }
  return undisturbed(std::move(seconds));
}

}  // namespace octet
