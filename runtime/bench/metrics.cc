#include "runtime/bench/metrics.h"

#include <algorithm>

namespace octet {
namespace {

bool is_good(const Record& record, const std::vector<RequestLimit>& limits) {
  return std::ranges::all_of(limits, [&](const RequestLimit& limit) {
    return record.latency(limit.latency) <= limit.seconds;
  });
}

void count_error(const Record& record, std::vector<ErrorCount>& errors) {
  const std::string line = record.error.empty() ? "an answer without a token" : record.error;
  auto same = std::ranges::find(errors, line, &ErrorCount::line);
  if (same == errors.end()) same = errors.insert(errors.end(), {line, record.code, 0});
  ++same->count;
}

}  // namespace

double Metrics::value(const StatisticLimit& limit) const {
  const Summary& summary = of(limit.latency);
  return limit.percent == kMean ? summary.mean() : summary.percentile(limit.percent);
}

bool Metrics::keeps(const std::vector<StatisticLimit>& limits) const {
  return completed > 0 && failed == 0 &&
         std::ranges::all_of(
             limits, [&](const StatisticLimit& limit) { return value(limit) <= limit.seconds; });
}

Metrics metrics_of(const LoadResult& measurement, const std::vector<RequestLimit>& limits) {
  Metrics metrics{.seconds = measurement.seconds};
  std::array<std::vector<double>, kLatencies.size()> values;
  const auto of = [&](Latency latency) -> std::vector<double>& {
    return values[static_cast<size_t>(latency)];
  };
  std::vector<double> lags;
  for (const Record& record : measurement.records) {
    lags.push_back(record.sent - record.due);
    if (!record.ok()) {
      ++metrics.failed;
      count_error(record, metrics.errors);
      continue;
    }
    ++metrics.completed;
    if (is_good(record, limits)) ++metrics.good;
    metrics.input_tokens += record.prompt_tokens;
    metrics.output_tokens += record.output_tokens;
    for (const Latency latency : {Latency::kTtft, Latency::kTpot, Latency::kE2e}) {
      if (latency == Latency::kTpot && record.output_tokens < 2) continue;
      of(latency).push_back(record.latency(latency));
    }
    for (size_t i = 1; i < record.arrivals.size(); ++i) {
      of(Latency::kItl).push_back(record.arrivals[i] - record.arrivals[i - 1]);
    }
  }
  for (const Latency latency : kLatencies) {
    metrics.latencies[static_cast<size_t>(latency)] = Summary(std::move(of(latency)));
  }
  metrics.send_lag = Summary(std::move(lags));
  std::ranges::stable_sort(metrics.errors, std::ranges::greater(), &ErrorCount::count);
  return metrics;
}

}  // namespace octet
