#include "bench/reporter.h"

#include <fmt/format.h>

#include <algorithm>

namespace octet::bench {
namespace {

std::string format_time(double seconds) {
  if (seconds < 1e-3) return fmt::format("{:.2f} us", seconds * 1e6);
  return fmt::format("{:.3f} ms", seconds * 1e3);
}

std::string format_rate(double rate, double unit) {
  return rate > 0 ? fmt::format("{:.2f}", rate / unit) : "";
}

// "linear/4096x4096/M:8/repeats:5/real_time" without what the library appends.
std::string plain_name(const std::string& name) {
  return name.substr(0, std::min({name.find("/min_time"), name.find("/repeats"),
                                  name.find("/iterations"), name.find("/real_time")}));
}

}  // namespace

void set_work(benchmark::State& state, const Work& work) {
  using benchmark::Counter;
  const auto iterations = static_cast<double>(state.iterations());
  state.counters["bytes"] = Counter(work.bytes * iterations, Counter::kIsRate);
  state.counters["ops"] = Counter(work.ops * iterations, Counter::kIsRate);
  state.counters["least_seconds"] = Counter(work.least_seconds, Counter::kAvgThreads);
}

double median(std::vector<double> values) {
  std::ranges::sort(values);
  const size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

void print_header() {
  fmt::print("{:<46}{:>12}{:>30}{:>10}{:>9}{:>9}{:>9}\n", "", "median", "min to max", "tokens/s",
             "GB/s", "TOPS", "of limit");
}

void print_row(const Row& row) {
  const auto [least, most] = std::ranges::minmax(row.seconds);
  const double middle = median(row.seconds);
  fmt::print("{:<46}{:>12}{:>30}{:>10}{:>9}{:>9}{:>9}\n", row.name, format_time(middle),
             format_time(least) + " to " + format_time(most), format_rate(row.tokens / middle, 1),
             format_rate(row.work.bytes / middle, 1e9), format_rate(row.work.ops / middle, 1e12),
             row.work.least_seconds > 0
                 ? fmt::format("{:.1f}%", 100 * row.work.least_seconds / middle)
                 : "");
  fflush(stdout);
}

void Reporter::ReportRuns(const std::vector<Run>& runs) {
  Row row;
  for (const Run& run : runs) {
    if (run.error_occurred) {
      fmt::print("{:<46}{}\n", plain_name(run.benchmark_name()), run.error_message);
      return;
    }
    if (run.run_type != Run::RT_Iteration) continue;
    row.name = plain_name(run.benchmark_name());
    const double seconds = run.real_accumulated_time * static_cast<double>(run.threads) /
                           static_cast<double>(run.iterations);
    row.seconds.push_back(seconds);
    row.work = {.bytes = run.counters.at("bytes") * seconds,
                .ops = run.counters.at("ops") * seconds,
                .least_seconds = run.counters.at("least_seconds")};
  }
  if (row.seconds.empty()) return;  // aggregates only
  print_row(row);
  const double middle = median(row.seconds);
  rows_[row.name] = {.bytes = row.work.bytes / middle, .ops = row.work.ops / middle};
}

}  // namespace octet::bench
