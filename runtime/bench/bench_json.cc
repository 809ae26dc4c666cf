#include <fmt/chrono.h>
#include <fmt/format.h>

#include <chrono>

#include "runtime/bench/bench_report.h"
#include "runtime/coordinator/version.h"

namespace octet {
namespace {

using nlohmann::ordered_json;

ordered_json percentiles_of(const Summary& summary) {
  ordered_json percentiles = ordered_json::object();
  for (int percent = 0; percent <= 100; ++percent) {
    percentiles[fmt::format("{}", percent)] = summary.percentile(percent) * kMs;
  }
  percentiles["99.9"] = summary.percentile(99.9) * kMs;
  return percentiles;
}

void add_latency(ordered_json& out, const std::string& name, const Summary& summary) {
  out["mean_" + name + "_ms"] = summary.mean() * kMs;
  out["median_" + name + "_ms"] = summary.median() * kMs;
  out["std_" + name + "_ms"] = summary.stddev() * kMs;
  for (const int percent : {90, 95, 99}) {
    out[fmt::format("p{}_{}_ms", percent, name)] = summary.percentile(percent) * kMs;
  }
}

ordered_json search_json(const SearchResult& search, const std::vector<StatisticLimit>& limits) {
  ordered_json probes = ordered_json::array();
  for (const RateProbe& probe : search.probes) {
    ordered_json entry{{"request_rate", probe.rate},
                       {"kept", probe.kept},
                       {"output_throughput", probe.output_tokens_per_second},
                       {"cut_short", probe.cut_short}};
    for (size_t i = 0; i < limits.size(); ++i) {
      entry[limits[i].name + "_ms"] = probe.values[i] * kMs;
    }
    probes.push_back(std::move(entry));
  }
  return {{"highest_rate_kept", search.highest_kept},
          {"reported_rate", search.reported},
          {"ended_early", search.ended_early},
          {"lowest_rate_failed", search.lowest_failed},
          {"probes", std::move(probes)}};
}

}  // namespace

ordered_json bench_json(const BenchReport& report) {
  const Metrics& metrics = report.metrics;
  ordered_json out;
  out["octet_version"] = octet_version();
  out["date"] = fmt::format(
      "{:%Y-%m-%dT%H:%M:%SZ}",
      fmt::gmtime(std::chrono::system_clock::to_time_t(std::chrono::system_clock::now())));
  out["settings"] = report.settings;
  out["num_prompts"] = report.measurement.planned;
  out["completed"] = metrics.completed;
  out["failed"] = metrics.failed;
  out["interrupted"] = report.measurement.interrupted;
  if (!report.measurement.given_up.empty()) out["given_up"] = report.measurement.given_up;
  out["duration"] = metrics.seconds;
  out["total_input_tokens"] = metrics.input_tokens;
  out["total_output_tokens"] = metrics.output_tokens;
  out["request_throughput"] = metrics.per_second(static_cast<double>(metrics.completed));
  out["request_goodput"] = metrics.per_second(static_cast<double>(metrics.good));
  out["output_throughput"] = metrics.per_second(static_cast<double>(metrics.output_tokens));
  out["total_token_throughput"] =
      metrics.per_second(static_cast<double>(metrics.input_tokens + metrics.output_tokens));
  out["max_concurrent_requests"] = report.measurement.most_in_flight;
  for (const Latency latency : kLatencies) {
    add_latency(out, latency_name(latency), metrics.of(latency));
  }
  add_latency(out, "send_lag", metrics.send_lag);
  for (const Latency latency : kLatencies) {
    out["percentiles"][std::string(latency_name(latency)) + "_ms"] =
        percentiles_of(metrics.of(latency));
  }
  out["errors"] = ordered_json::array();
  for (const ErrorCount& error : metrics.errors) {
    out["errors"].push_back({{"count", error.count}, {"error", error.line}});
  }
  if (report.search) out["search"] = search_json(*report.search, report.statistic_limits);
  return out;
}

}  // namespace octet
