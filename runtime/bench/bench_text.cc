#include <fmt/format.h>

#include "runtime/bench/bench_report.h"

namespace octet {
namespace {

std::string row(const std::string& name, const std::string& value) {
  return fmt::format("{:<34}{:>14}\n", name, value);
}

std::string latency_table(const Metrics& metrics, const std::vector<double>& percentiles) {
  std::string text = fmt::format("{:<10}{:>10}{:>10}", "ms", "mean", "min");
  for (const double percent : percentiles)
    text += fmt::format("{:>10}", fmt::format("p{}", percent));
  text += fmt::format("{:>10}\n", "max");
  for (const Latency latency : kLatencies) {
    const Summary& summary = metrics.of(latency);
    text += fmt::format("{:<10}{:>10.2f}{:>10.2f}", latency_name(latency), summary.mean() * kMs,
                        summary.min() * kMs);
    for (const double percent : percentiles) {
      text += fmt::format("{:>10.2f}", summary.percentile(percent) * kMs);
    }
    text += fmt::format("{:>10.2f}\n", summary.max() * kMs);
  }
  return text;
}

}  // namespace

std::string bench_text(const BenchReport& report, const std::vector<double>& percentiles) {
  const Metrics& metrics = report.metrics;
  const auto per_second = [&](double amount) {
    return fmt::format("{:.3f}", metrics.per_second(amount));
  };
  std::string text = row("requests completed",
                         fmt::format("{} of {}", metrics.completed, report.measurement.planned)) +
                     row("requests failed", fmt::format("{}", metrics.failed)) +
                     row("seconds", fmt::format("{:.3f}", metrics.seconds)) +
                     row("input tokens", fmt::format("{}", metrics.input_tokens)) +
                     row("output tokens", fmt::format("{}", metrics.output_tokens)) +
                     row("requests/s", per_second(static_cast<double>(metrics.completed)));
  if (!report.request_limits.empty()) {
    text += row("requests/s within the limits", per_second(static_cast<double>(metrics.good)));
  }
  text +=
      row("output tokens/s", per_second(static_cast<double>(metrics.output_tokens))) +
      row("input and output tokens/s",
          per_second(static_cast<double>(metrics.input_tokens + metrics.output_tokens))) +
      row("most requests in flight", fmt::format("{}", report.measurement.most_in_flight)) +
      row("sent late by, p99 (ms)", fmt::format("{:.3f}", metrics.send_lag.percentile(99) * kMs));
  return metrics.completed > 0 ? text + latency_table(metrics, percentiles) : text;
}

std::string search_answer(const SearchResult& search) {
  const std::string of_probe =
      search.reported > 0 ? fmt::format("the figures above are of the probe at {:.3f} requests/s\n",
                                        search.reported)
                          : "";
  if (search.highest_kept > 0) {
    return fmt::format("{}highest rate within the limits: {:.3f} requests/s{}{}", of_probe,
                       search.highest_kept, search.ended_early.empty() ? "" : "; ",
                       search.ended_early);
  }
  return of_probe + "no rate within the limits was found" +
         (search.ended_early.empty() ? "" : ": " + search.ended_early);
}

std::string search_text(const RateProbe& probe, const std::vector<StatisticLimit>& limits) {
  std::string text = fmt::format("{:>10.3f} requests/s {:>10.1f} tokens/s", probe.rate,
                                 probe.output_tokens_per_second);
  for (size_t i = 0; i < limits.size(); ++i) {
    text += fmt::format("  {} {:.1f} ms", limits[i].name, probe.values[i] * kMs);
  }
  return text + (probe.kept ? "  kept" : probe.cut_short ? "  failed, cut short" : "  failed");
}

std::string failure_line(const Metrics& metrics) {
  if (metrics.failed == 0) return "";
  const ErrorCount& first = metrics.errors.front();
  return fmt::format("{} of {} requests failed; {} of them: {}", metrics.failed,
                     metrics.failed + metrics.completed, first.count, first.line);
}

std::string bench_csv(const LoadResult& measurement) {
  std::string csv =
      "request,due_s,sent_s,end_s,input_tokens,output_tokens,ttft_ms,tpot_ms,e2el_ms,error\n";
  for (const Record& record : measurement.records) {
    csv += fmt::format("{},{:.6f},{:.6f},{:.6f},{},{},", record.index, record.due, record.sent,
                       record.end, record.prompt_tokens, record.output_tokens);
    if (record.ok()) {
      csv += fmt::format("{:.3f},{:.3f},{:.3f},\n", record.latency(Latency::kTtft) * kMs,
                         record.latency(Latency::kTpot) * kMs, record.latency(Latency::kE2e) * kMs);
      continue;
    }
    std::string error;
    for (const char c : record.error) error += c == '"' ? "\"\"" : std::string(1, c);
    csv += fmt::format(",,,\"{}\"\n", error);
  }
  return csv;
}

}  // namespace octet
