// One measurement of a service from warm-up to report, and a search made of such measurements.
#pragma once

#include <atomic>
#include <cstddef>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "runtime/bench/arrivals.h"
#include "runtime/bench/bench_report.h"
#include "runtime/bench/rate_search.h"
#include "runtime/bench/target.h"
#include "runtime/bench/workload.h"

namespace octet {

struct LoadOptions {
  ArrivalOptions arrivals;
  bool own_times = false;  // the requests' times stand; arrivals are not drawn
  size_t max_concurrency = 0;
  double max_seconds = 0;
  uint64_t seed = 0;  // of the arrivals
  std::vector<RequestLimit> request_limits;
  std::vector<StatisticLimit> statistic_limits;
  const std::atomic<bool>* interrupted = nullptr;
  // About ten times a second: how many of how many are answered.
  std::function<void(const std::string& label, size_t done, size_t total)> on_progress = {};
};

// Asks `warmups` one after the other. Throws what the first that fails says, so that a server that
// cannot answer is found before load is put on it.
void warm_up(Target& target, const std::vector<PlannedRequest>& warmups);

// Sends `requests` once. Its report has no settings yet.
BenchReport measure(Target& target, std::vector<PlannedRequest> requests,
                    const LoadOptions& options);

// Searches for the highest rate that keeps options.statistic_limits (REQUIRES some), sending
// `requests` at each rate that is tried. Without a rate in options.arrivals it starts a little
// below what the service answers when all come at once. The report is of a probe that kept the
// highest rate kept, or of the first rate where none was.
BenchReport search_rate(Target& target, const std::vector<PlannedRequest>& requests,
                        const LoadOptions& options, const SearchOptions& search,
                        const std::function<void(const RateProbe&)>& on_probe);

// NAME.json, NAME.csv and NAME.html in `folder`. Each is whole or not there. Tries all three;
// throws InputError for the first that could not be written, naming it and what is there.
void save_results(const std::filesystem::path& folder, const std::string& name,
                  const BenchReport& report);

}  // namespace octet
