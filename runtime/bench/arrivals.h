// When requests are sent: drawn before the first is sent, so that no answer can move them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <vector>

namespace octet {

constexpr double kAtOnce = std::numeric_limits<double>::infinity();    // as a rate
constexpr double kConstant = std::numeric_limits<double>::infinity();  // as a burstiness

struct Ramp {
  enum class Kind { kLinear, kExponential };
  Kind kind = Kind::kLinear;
  double start = 1, end = 1;  // requests/s at the first and after the last request
};

struct ArrivalOptions {
  double rate = kAtOnce;  // requests/s
  // Shape of the gamma distribution of the gaps: 1 is a Poisson process, less comes in bursts, more
  // is more regular, kConstant is a clock.
  double burstiness = 1;
  std::optional<Ramp> ramp = {};  // in place of rate
};

// Seconds of `count` requests after the first, in order, the first at 0. The gaps are drawn for one
// request a second, scaled to fill count seconds, then divided by the rate: one seed gives one
// pattern at every rate, and the mean rate is the one asked for.
// Throws InputError where a rate or the burstiness is not above 0.
std::vector<double> arrival_times(const ArrivalOptions& options, size_t count, uint64_t seed);

}  // namespace octet
