// The search for the highest rate at which a service keeps its limits. Plain data and one function.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "runtime/bench/latency.h"
#include "runtime/bench/record.h"

namespace octet {

struct RateProbe {
  double rate = 0;             // requests/s sent
  bool kept = false;           // every limit
  std::vector<double> values;  // seconds, of each limit's statistic
  double output_tokens_per_second = 0;
  bool cut_short = false;  // ended as soon as it was lost; its values are of a part
};

struct SearchOptions {
  double tolerance = 0.02;  // the answer lies within this of a rate that failed
  int probes_of_rate = 1;   // odd: at most so many, and what most of them say is so
  double least_rate = 1e-3, most_rate = 1e6;
};

struct SearchResult {
  std::vector<RateProbe> probes;  // in the order of measuring; those of a rate are adjacent
  double highest_kept = 0;        // requests/s; 0: none
  double lowest_failed = 0;       // 0: none
  double reported = 0;            // the rate of the probe whose report this is in; 0: of none
  std::string ended_early;        // why the search could not go on; "": it came to its end
};

// Steps up or down from first_rate by a quarter until one rate keeps and the next does not, then
// halves what lies between. `measure` may end that; what was decided up to then is returned.
enum class AfterProbe { kGoOn, kEnd, kDiscard };  // the last: ends, and the probe does not count
SearchResult find_highest_rate(
    double first_rate, const SearchOptions& options,
    const std::function<AfterProbe(double rate, RateProbe& probe)>& measure);

// Whether `so_far` already shows that a measurement of `planned` requests cannot keep the limits.
bool is_lost(const std::vector<Record>& so_far, size_t planned,
             const std::vector<StatisticLimit>& limits);

}  // namespace octet
