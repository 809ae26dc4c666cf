#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "runtime/bench/bench_report.h"
#include "runtime/report/html_page.h"

namespace octet {
namespace {

LinePlot distribution(const std::string& title, const Summary& summary) {
  Series series{.name = title, .mark = Mark::kLine};
  const size_t count = summary.count();
  const size_t every = count / 1000 + 1;
  for (size_t i = 0; i < count; i += every) {
    series.points.emplace_back(summary.sorted()[i] * kMs,
                               100.0 * static_cast<double>(i + 1) / static_cast<double>(count));
  }
  return {.title = title, .x_label = "ms", .y_label = "% of them at most", .series = {series}};
}

// Tokens that arrived in each of about a hundred equal stretches of time.
Series tokens_over_time(const LoadResult& measurement) {
  constexpr int kStretches = 100;
  Series series{.name = "output tokens/s", .mark = Mark::kLine};
  double last = 0;
  for (const Record& record : measurement.records) last = std::max(last, record.end);
  const double width = std::max(last / kStretches, 1e-6);
  std::vector<double> tokens(kStretches + 1);
  for (const Record& record : measurement.records) {
    if (record.arrivals.empty()) continue;
    const double each = record.output_tokens / static_cast<double>(record.arrivals.size());
    for (const double arrival : record.arrivals) {
      tokens[std::clamp(static_cast<int>(arrival / width), 0, kStretches)] += each;
    }
  }
  for (int i = 0; i < kStretches; ++i)
    series.points.emplace_back((i + 0.5) * width, tokens[i] / width);
  return series;
}

Series in_flight_over_time(const LoadResult& measurement) {
  std::vector<std::pair<double, int>> changes;
  for (const Record& record : measurement.records) {
    changes.emplace_back(record.sent, 1);
    changes.emplace_back(record.end, -1);
  }
  std::ranges::sort(changes);
  Series series{.name = "in flight", .mark = Mark::kLine};
  int in_flight = 0;
  for (const auto& [at, change] : changes) {
    series.points.emplace_back(at, in_flight);
    in_flight += change;
    series.points.emplace_back(at, in_flight);
  }
  return series;
}

Series ttft_over_time(const LoadResult& measurement) {
  Series series{.name = "TTFT", .mark = Mark::kPoints};
  for (const Record& record : measurement.records) {
    if (record.ok()) series.points.emplace_back(record.due, record.latency(Latency::kTtft) * kMs);
  }
  std::ranges::sort(series.points);
  return series;
}

void add_search(HtmlPage& page, const SearchResult& search,
                const std::vector<StatisticLimit>& limits) {
  page.heading("The search for the highest rate");
  std::vector<RateProbe> probes = search.probes;
  std::ranges::sort(probes, {}, &RateProbe::rate);
  for (size_t i = 0; i < limits.size(); ++i) {
    LinePlot plot{.title = limits[i].name + " by rate",
                  .x_label = "requests/s",
                  .y_label = "ms",
                  .series = {{.name = limits[i].name}},
                  .limits = {{"limit", limits[i].seconds * kMs}},
                  .y_scale = Scale::kLog};
    for (const RateProbe& probe : probes) {
      if (!probe.cut_short) plot.series[0].points.emplace_back(probe.rate, probe.values[i] * kMs);
    }
    page.plot(plot);
  }
  Table table{.columns = {"requests/s", "output tokens/s"}};
  for (const StatisticLimit& limit : limits) table.columns.push_back(limit.name + ", ms");
  table.columns.emplace_back("limits");
  for (const RateProbe& probe : probes) {
    std::vector<std::string> row{fmt::format("{:.3f}", probe.rate),
                                 fmt::format("{:.1f}", probe.output_tokens_per_second)};
    for (const double value : probe.values) row.push_back(fmt::format("{:.2f}", value * kMs));
    row.emplace_back(probe.kept ? "kept" : probe.cut_short ? "failed, cut short" : "failed");
    table.rows.push_back(std::move(row));
  }
  page.table(table);
}

Table latency_table(const Metrics& metrics) {
  Table table{.columns = {"ms", "mean", "stddev", "min", "p25", "p50", "p75", "p90", "p95", "p99",
                          "p99.9", "max"}};
  for (const Latency latency : kLatencies) {
    const Summary& summary = metrics.of(latency);
    std::vector<std::string> row{latency_name(latency), fmt::format("{:.2f}", summary.mean() * kMs),
                                 fmt::format("{:.2f}", summary.stddev() * kMs)};
    for (const double percent : {0.0, 25.0, 50.0, 75.0, 90.0, 95.0, 99.0, 99.9, 100.0}) {
      row.push_back(fmt::format("{:.2f}", summary.percentile(percent) * kMs));
    }
    table.rows.push_back(std::move(row));
  }
  return table;
}

std::vector<Figure> figures_of(const BenchReport& report) {
  const Metrics& metrics = report.metrics;
  const auto per_second = [&](double amount) {
    return fmt::format("{:.4g}", metrics.per_second(amount));
  };
  const auto milliseconds = [&](Latency latency, double percent) {
    return fmt::format("{:.1f}", metrics.of(latency).percentile(percent) * kMs);
  };
  std::vector<Figure> figures;
  if (report.search) {
    figures.push_back({"highest rate within the limits",
                       fmt::format("{:.4g}", report.search->highest_kept), "requests/s"});
  }
  figures.push_back({"answered", per_second(static_cast<double>(metrics.completed)), "requests/s"});
  if (!report.request_limits.empty()) {
    figures.push_back({"goodput", per_second(static_cast<double>(metrics.good)), "requests/s"});
  }
  figures.push_back({"output", per_second(static_cast<double>(metrics.output_tokens)), "tokens/s"});
  figures.push_back({"TTFT, median", milliseconds(Latency::kTtft, 50), "ms"});
  figures.push_back({"TTFT, p99", milliseconds(Latency::kTtft, 99), "ms"});
  figures.push_back({"TPOT, median", milliseconds(Latency::kTpot, 50), "ms"});
  figures.push_back({"TPOT, p99", milliseconds(Latency::kTpot, 99), "ms"});
  figures.push_back({"failed", fmt::format("{}", metrics.failed),
                     fmt::format("of {}", metrics.failed + metrics.completed)});
  return figures;
}

}  // namespace

std::string settings_value(const nlohmann::ordered_json& value) {
  return value.is_string() ? value.get<std::string>() : value.dump();
}

std::string bench_html(const BenchReport& report) {
  HtmlPage page("octet bench serve", report.settings.contains("model")
                                         ? settings_value(report.settings["model"])
                                         : std::string());
  page.figures(figures_of(report));
  const std::string failures = failure_line(report.metrics);
  if (!failures.empty()) page.paragraph(failures);
  if (report.measurement.interrupted) page.paragraph("Interrupted: the figures are of a part.");
  if (!report.measurement.given_up.empty())
    page.paragraph("Given up: " + report.measurement.given_up);
  if (report.search) add_search(page, *report.search, report.statistic_limits);
  page.heading("Latency");
  page.plot(distribution("Time to first token", report.metrics.of(Latency::kTtft)));
  page.plot(distribution("Time per output token", report.metrics.of(Latency::kTpot)));
  page.plot(distribution("Between tokens", report.metrics.of(Latency::kItl)));
  page.plot(distribution("End to end", report.metrics.of(Latency::kE2e)));
  page.table(latency_table(report.metrics));
  page.heading("Over time");
  page.plot({.title = "Tokens that arrived",
             .x_label = "s",
             .y_label = "output tokens/s",
             .series = {tokens_over_time(report.measurement)}});
  page.plot({.title = "Requests in flight",
             .x_label = "s",
             .y_label = "requests",
             .series = {in_flight_over_time(report.measurement)}});
  page.plot({.title = "Time to first token, by when the request was due",
             .x_label = "s",
             .y_label = "ms",
             .series = {ttft_over_time(report.measurement)}});
  page.heading("Settings");
  Table settings{.columns = {"setting", "value"}};
  for (const auto& [name, value] : report.settings.items()) {
    settings.rows.push_back({name, settings_value(value)});
  }
  page.table(settings);
  page.data(bench_json(report).dump());
  return page.text();
}

}  // namespace octet
