#include "runtime/bench/rate_search.h"

#include <algorithm>
#include <cmath>

namespace octet {
namespace {

constexpr double kStep = 1.25;

}  // namespace

SearchResult find_highest_rate(double first_rate, const SearchOptions& options,
                               const std::function<AfterProbe(double, RateProbe&)>& measure) {
  SearchResult result;
  const int majority = options.probes_of_rate / 2 + 1;
  double rate = first_rate;
  while (rate >= options.least_rate && rate <= options.most_rate) {
    int kept = 0, failed = 0;
    AfterProbe after = AfterProbe::kGoOn;
    while (after == AfterProbe::kGoOn && kept < majority && failed < majority) {
      RateProbe probe{.rate = rate};
      after = measure(rate, probe);
      if (after == AfterProbe::kDiscard) break;
      result.probes.push_back(probe);
      ++(probe.kept ? kept : failed);
    }
    if (kept >= majority) result.highest_kept = rate;
    if (failed >= majority) result.lowest_failed = rate;
    if (after != AfterProbe::kGoOn) break;
    if (result.lowest_failed == 0) {
      rate *= kStep;
    } else if (result.highest_kept == 0) {
      rate /= kStep;
    } else {
      if (result.lowest_failed <= result.highest_kept * (1 + options.tolerance)) break;
      rate = std::sqrt(result.lowest_failed * result.highest_kept);
    }
  }
  return result;
}

bool is_lost(const std::vector<Record>& so_far, size_t planned,
             const std::vector<StatisticLimit>& limits) {
  if (!std::ranges::all_of(so_far, &Record::ok)) return true;
  return std::ranges::any_of(limits, [&](const StatisticLimit& limit) {
    if (limit.percent == kMean || limit.latency == Latency::kItl) return false;
    const auto breaking = std::ranges::count_if(so_far, [&](const Record& record) {
      return record.latency(limit.latency) > limit.seconds;
    });
    // The percentile lies at or above this place of the sorted latencies.
    const double place = limit.percent / 100 * static_cast<double>(planned - 1);
    return static_cast<size_t>(breaking) >= planned - static_cast<size_t>(place);
  });
}

}  // namespace octet
