#include "runtime/bench/arrivals.h"

#include <fmt/format.h>

#include <cmath>
#include <numeric>
#include <random>

#include "runtime/request/error.h"

namespace octet {
namespace {

void require_above_zero(double value, const char* name) {
  if (!(value > 0)) throw InputError(fmt::format("{} is {}, must be above 0", name, value));
}

std::vector<double> unit_gaps(double burstiness, size_t count, uint64_t seed) {
  std::vector<double> gaps(count, 1.0);
  if (std::isinf(burstiness)) return gaps;
  std::mt19937_64 random(seed);
  std::gamma_distribution<double> gamma(burstiness, 1 / burstiness);
  for (double& gap : gaps) gap = gamma(random);
  const double sum = std::accumulate(gaps.begin(), gaps.end(), 0.0);
  if (sum > 0) {
    for (double& gap : gaps) gap *= static_cast<double>(count) / sum;
  }
  return gaps;
}

double rate_at(const Ramp& ramp, double progress) {
  return ramp.kind == Ramp::Kind::kLinear ? std::lerp(ramp.start, ramp.end, progress)
                                          : ramp.start * std::pow(ramp.end / ramp.start, progress);
}

}  // namespace

std::vector<double> arrival_times(const ArrivalOptions& options, size_t count, uint64_t seed) {
  require_above_zero(options.rate, "the request rate");
  require_above_zero(options.burstiness, "the burstiness");
  if (options.ramp) {
    require_above_zero(options.ramp->start, "the ramp's first rate");
    require_above_zero(options.ramp->end, "the ramp's last rate");
  }
  std::vector<double> times(count, 0.0);
  if (!options.ramp && std::isinf(options.rate)) return times;
  const std::vector<double> gaps = unit_gaps(options.burstiness, count, seed);
  for (size_t i = 1; i < count; ++i) {
    const double progress = static_cast<double>(i - 1) / static_cast<double>(count);
    const double rate = options.ramp ? rate_at(*options.ramp, progress) : options.rate;
    times[i] = times[i - 1] + gaps[i - 1] / rate;
  }
  return times;
}

}  // namespace octet
