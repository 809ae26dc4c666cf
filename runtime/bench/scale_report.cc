#include "runtime/bench/scale_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "runtime/bench/bench_report.h"
#include "runtime/report/html_page.h"
#include "runtime/request/error.h"

namespace octet {
namespace {

template <typename Value>
void read_field(const nlohmann::json& result, const char* name, const std::string& source,
                Value& value) {
  if (!result.contains(name) || !result[name].is_number())
    throw InputError(fmt::format("{}: has no number '{}'", source, name));
  value = result[name].get<Value>();
}

// Rows of one group, by their offered load; what came all at once has none to be placed at.
std::vector<Series> by_group(const std::vector<ScaleRow>& rows, double ScaleRow::*figure) {
  std::vector<Series> series;
  for (const ScaleRow& row : rows) {
    const bool closed = row.cell.concurrency > 0;
    if (!closed && std::isinf(row.cell.rate)) continue;
    const std::string name = row.cell.group.name();
    auto same = std::ranges::find(series, name, &Series::name);
    if (same == series.end()) same = series.insert(series.end(), {.name = name});
    same->points.emplace_back(closed ? static_cast<double>(row.cell.concurrency) : row.cell.rate,
                              row.*figure);
  }
  for (Series& one : series) std::ranges::sort(one.points);
  return series;
}

Series one_point(const ScalePoint& point, double value) {
  return {
      .name = point.group.name(), .points = {{point.group.ranks(), value}}, .mark = Mark::kPoints};
}

LinePlot by_ranks(const std::vector<ScalePoint>& points, bool efficiency) {
  LinePlot plot{.title = efficiency ? "Parallel efficiency" : "The most output tokens/s",
                .x_label = "ranks",
                .y_label = efficiency ? "share of ideal" : "output tokens/s"};
  for (const ScalePoint& point : points) {
    plot.series.push_back(
        one_point(point, efficiency ? point.efficiency : point.output_tokens_per_second));
  }
  if (points.empty()) return plot;
  if (efficiency) {
    plot.limits.push_back({"ideal", 1});
    return plot;
  }
  const ScalePoint& first = points.front();
  const double each = first.output_tokens_per_second / first.group.ranks();
  Series ideal{.name = "ideal", .mark = Mark::kDashed};
  for (const int ranks : {first.group.ranks(), points.back().group.ranks()}) {
    ideal.points.emplace_back(ranks, each * ranks);
  }
  plot.series.push_back(std::move(ideal));
  return plot;
}

std::vector<std::string> cells_of(const ScaleRow& row) {
  const auto figure = [](double value) { return fmt::format("{:.2f}", value); };
  return {fmt::format("{}", row.cell.group.tensor_parallel_size),
          fmt::format("{}", row.cell.group.replicas),
          row.cell.load(),
          figure(row.requests_per_second),
          figure(row.output_tokens_per_second),
          figure(row.ttft_p50),
          figure(row.ttft_p99),
          figure(row.tpot_p50),
          figure(row.tpot_p99),
          fmt::format("{}", row.failed)};
}

const std::vector<std::string> kColumns{"tp",       "replicas",     "load", "requests/s",
                                        "tokens/s", "TTFT p50, ms", "p99",  "TPOT p50, ms",
                                        "TPOT p99", "failed"};

void add_summary(HtmlPage& page, const std::vector<ScalePoint>& points) {
  page.heading("By ranks");
  page.plot(by_ranks(points, false));
  page.plot(by_ranks(points, true));
  Table table{.columns = {"group", "ranks", "the most output tokens/s", "efficiency"}};
  for (const ScalePoint& point : points) {
    table.rows.push_back({point.group.name(), fmt::format("{}", point.group.ranks()),
                          fmt::format("{:.1f}", point.output_tokens_per_second),
                          fmt::format("{:.2f}", point.efficiency)});
  }
  page.table(table);
}

void add_loads(HtmlPage& page, const std::vector<ScaleRow>& rows) {
  page.heading("By load");
  const bool closed =
      std::ranges::any_of(rows, [](const ScaleRow& row) { return row.cell.concurrency > 0; });
  const std::string x_label = closed ? "requests at a time" : "requests/s sent";
  struct Shown {
    const char *title, *y_label;
    double ScaleRow::*figure;
  };
  for (const Shown& shown :
       {Shown{"Output", "output tokens/s", &ScaleRow::output_tokens_per_second},
        Shown{"Time to first token, median", "ms", &ScaleRow::ttft_p50},
        Shown{"Time to first token, p99", "ms", &ScaleRow::ttft_p99},
        Shown{"Time per output token, median", "ms", &ScaleRow::tpot_p50}}) {
    page.plot({.title = shown.title,
               .x_label = x_label,
               .y_label = shown.y_label,
               .series = by_group(rows, shown.figure)});
  }
}

}  // namespace

ScaleRow scale_row(const ScaleCell& cell, const nlohmann::json& result, const std::string& source) {
  ScaleRow row{.cell = cell};
  read_field(result, "request_throughput", source, row.requests_per_second);
  read_field(result, "output_throughput", source, row.output_tokens_per_second);
  read_field(result, "median_ttft_ms", source, row.ttft_p50);
  read_field(result, "p99_ttft_ms", source, row.ttft_p99);
  read_field(result, "median_tpot_ms", source, row.tpot_p50);
  read_field(result, "p99_tpot_ms", source, row.tpot_p99);
  read_field(result, "completed", source, row.completed);
  read_field(result, "failed", source, row.failed);
  return row;
}

std::vector<ScalePoint> scale_points(const std::vector<ScaleRow>& rows) {
  std::vector<ScalePoint> points;
  for (const ScaleRow& row : rows) {
    auto same = std::ranges::find(points, row.cell.group, &ScalePoint::group);
    if (same == points.end()) same = points.insert(points.end(), {.group = row.cell.group});
    same->output_tokens_per_second =
        std::max(same->output_tokens_per_second, row.output_tokens_per_second);
  }
  std::ranges::stable_sort(points, {}, [](const ScalePoint& point) { return point.group.ranks(); });
  for (ScalePoint& point : points) {
    const double each = point.output_tokens_per_second / point.group.ranks();
    const double first = points.front().output_tokens_per_second / points.front().group.ranks();
    point.efficiency = first > 0 ? each / first : 0;
  }
  return points;
}

std::string scale_text(const std::vector<ScaleRow>& rows) {
  std::string text = fmt::format("{:>4}{:>9}  {:<16}{:>11}{:>10}{:>14}{:>10}{:>14}{:>10}{:>8}\n",
                                 "tp", "replicas", "load", "requests/s", "tokens/s", "TTFT p50, ms",
                                 "p99", "TPOT p50, ms", "p99", "failed");
  for (const ScaleRow& row : rows) {
    const std::vector<std::string> c = cells_of(row);
    text += fmt::format("{:>4}{:>9}  {:<16}{:>11}{:>10}{:>14}{:>10}{:>14}{:>10}{:>8}\n", c[0], c[1],
                        c[2], c[3], c[4], c[5], c[6], c[7], c[8], c[9]);
  }
  for (const ScalePoint& point : scale_points(rows)) {
    text += fmt::format(
        "{}: {} rank(s), at most {:.1f} output tokens/s, parallel efficiency {:.2f}\n",
        point.group.name(), point.group.ranks(), point.output_tokens_per_second, point.efficiency);
  }
  return text;
}

std::string scale_csv(const std::vector<ScaleRow>& rows) {
  std::string csv =
      "tensor_parallel_size,replicas,load,requests_per_second,output_tokens_per_second,ttft_p50_ms,"
      "ttft_p99_ms,tpot_p50_ms,tpot_p99_ms,failed\n";
  for (const ScaleRow& row : rows) csv += fmt::format("{}\n", fmt::join(cells_of(row), ","));
  return csv;
}

std::string scale_html(const std::vector<ScaleRow>& rows, const nlohmann::ordered_json& settings) {
  const std::filesystem::path model =
      settings_value(settings.value("model", nlohmann::ordered_json("")));
  HtmlPage page("octet scale", model.filename().string());
  const std::vector<ScalePoint> points = scale_points(rows);
  add_summary(page, points);
  add_loads(page, rows);
  Table table{.columns = kColumns};
  for (const ScaleRow& row : rows) table.rows.push_back(cells_of(row));
  page.table(table);
  page.heading("Settings");
  Table given{.columns = {"setting", "value"}};
  for (const auto& [name, value] : settings.items()) {
    given.rows.push_back({name, settings_value(value)});
  }
  page.table(given);
  return page.text();
}

}  // namespace octet
