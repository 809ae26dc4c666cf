#include "runtime/report/summary.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace octet {

Summary::Summary(std::vector<double> values) : sorted_(std::move(values)) {
  if (sorted_.empty()) return;
  std::ranges::sort(sorted_);
  const auto count = static_cast<double>(sorted_.size());
  mean_ = std::accumulate(sorted_.begin(), sorted_.end(), 0.0) / count;
  double squares = 0;
  for (const double value : sorted_) squares += (value - mean_) * (value - mean_);
  stddev_ = std::sqrt(squares / count);
}

double Summary::percentile(double percent) const {
  if (sorted_.empty()) return 0;
  const double place =
      std::clamp(percent, 0.0, 100.0) / 100 * static_cast<double>(sorted_.size() - 1);
  const auto below = static_cast<size_t>(place);
  const size_t above = std::min(below + 1, sorted_.size() - 1);
  return std::lerp(sorted_[below], sorted_[above], place - static_cast<double>(below));
}

}  // namespace octet
