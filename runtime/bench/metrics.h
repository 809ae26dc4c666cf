// Metrics: what the records of a measurement amount to. Plain values.
#pragma once

#include <array>
#include <map>
#include <string>
#include <vector>

#include "runtime/bench/latency.h"
#include "runtime/bench/record.h"
#include "runtime/report/summary.h"

namespace octet {

struct ErrorCount {
  std::string line;  // the first of its kind
  ErrorCode code = ErrorCode::kInvalidArgument;
  size_t count = 0;
};

struct Metrics {
  size_t completed = 0, failed = 0, good = 0;  // good: completed within every RequestLimit
  double seconds = 0;
  int64_t input_tokens = 0, output_tokens = 0;       // of the completed
  std::array<Summary, kLatencies.size()> latencies;  // seconds, of the completed
  Summary send_lag;                                  // seconds from due to sent, of all
  std::vector<ErrorCount> errors;                    // the most frequent first

  const Summary& of(Latency latency) const { return latencies[static_cast<size_t>(latency)]; }
  double value(const StatisticLimit& limit) const;  // seconds
  // A limit is not kept where a request failed or none completed.
  bool keeps(const std::vector<StatisticLimit>& limits) const;

  double per_second(double amount) const { return seconds > 0 ? amount / seconds : 0; }
};

Metrics metrics_of(const LoadResult& measurement, const std::vector<RequestLimit>& limits = {});

}  // namespace octet
