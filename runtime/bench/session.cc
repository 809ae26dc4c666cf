#include "runtime/bench/session.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include "runtime/bench/result_file.h"
#include "runtime/bench/runner.h"

namespace octet {
namespace {

constexpr double kBelowFull = 0.8;
constexpr size_t kAlone = 5;

BenchReport report_of(LoadResult measurement, const LoadOptions& options) {
  BenchReport report{.metrics = metrics_of(measurement, options.request_limits),
                     .request_limits = options.request_limits,
                     .statistic_limits = options.statistic_limits};
  report.measurement = std::move(measurement);
  return report;
}

LoadResult send(Target& target, std::vector<PlannedRequest>& requests, const LoadOptions& options,
                const std::string& label,
                const std::function<bool(const std::vector<Record>&)>& enough) {
  if (!options.own_times)
    set_times(requests, arrival_times(options.arrivals, requests.size(), options.seed));
  const RunOptions run{.max_concurrency = options.max_concurrency,
                       .max_seconds = options.max_seconds,
                       .interrupted = options.interrupted,
                       .on_progress = [&](const std::vector<Record>& so_far) {
                         if (options.on_progress)
                           options.on_progress(label, so_far.size(), requests.size());
                         return enough(so_far);
                       }};
  return run_load(target, requests, run);
}

bool server_is_gone(const Metrics& metrics) {
  return std::ranges::any_of(metrics.errors, [](const ErrorCount& error) {
    return error.code == ErrorCode::kUnreachable || error.code == ErrorCode::kUnavailable;
  });
}

// Is the last request sent before the first is answered? Then a higher rate is no other load.
bool all_at_once(const Metrics& metrics, size_t requests, double rate) {
  return static_cast<double>(requests - 1) / rate < metrics.of(Latency::kE2e).min();
}

bool never(const std::vector<Record>&) { return false; }

// Does each of a few requests break the limits although it is sent alone? Then no rate keeps them.
bool breaks_alone(Target& target, const std::vector<PlannedRequest>& requests,
                  LoadOptions options) {
  options.arrivals.rate = kAtOnce;
  options.own_times = false;
  for (size_t i = 0; i < std::min(kAlone, requests.size()); ++i) {
    std::vector<PlannedRequest> one{requests[i]};
    const BenchReport alone = report_of(send(target, one, options, "alone", never), options);
    if (alone.metrics.completed == 0 || alone.metrics.keeps(options.statistic_limits)) return false;
  }
  return true;
}

// All requests once at this rate, to the end or until the limits are lost; fills in the probe.
BenchReport send_at(Target& target, std::vector<PlannedRequest>& requests, LoadOptions options,
                    double rate, RateProbe& probe) {
  options.arrivals.rate = rate;
  options.own_times = false;
  const auto lost = [&](const std::vector<Record>& so_far) {
    probe.cut_short = is_lost(so_far, requests.size(), options.statistic_limits);
    return probe.cut_short;
  };
  const std::string label = fmt::format("{:.3f} requests/s", rate);
  BenchReport report = report_of(send(target, requests, options, label, lost), options);
  probe.kept = !probe.cut_short && report.metrics.keeps(options.statistic_limits);
  for (const StatisticLimit& limit : options.statistic_limits) {
    probe.values.push_back(report.metrics.value(limit));
  }
  probe.output_tokens_per_second =
      report.metrics.per_second(static_cast<double>(report.metrics.output_tokens));
  return report;
}

}  // namespace

void warm_up(Target& target, const std::vector<PlannedRequest>& warmups) {
  const std::unique_ptr<Connection> connection = target.connect();
  for (const PlannedRequest& request : warmups) {
    connection->ask(request, [](int) { return true; });
  }
}

BenchReport measure(Target& target, std::vector<PlannedRequest> requests,
                    const LoadOptions& options) {
  return report_of(send(target, requests, options, "answered", never), options);
}

BenchReport search_rate(Target& target, const std::vector<PlannedRequest>& requests,
                        const LoadOptions& options, const SearchOptions& search,
                        const std::function<void(const RateProbe&)>& on_probe) {
  std::vector<PlannedRequest> sent = requests;
  double first_rate = options.arrivals.rate;
  BenchReport otherwise;  // where no probe came to its end
  if (std::isinf(first_rate)) {
    LoadOptions at_once = options;
    at_once.own_times = false;
    otherwise = report_of(send(target, sent, at_once, "all at once", never), options);
    first_rate =
        kBelowFull * otherwise.metrics.per_second(static_cast<double>(otherwise.metrics.completed));
    if (otherwise.metrics.failed > 0) return otherwise;
    if (otherwise.measurement.interrupted) {
      otherwise.search = SearchResult{.probes = {}, .ended_early = "interrupted"};
      return otherwise;
    }
  }
  std::map<double, BenchReport> reports;  // by rate, of a probe that kept it where one did
  bool interrupted = false;
  std::string given_up, ended_early;
  const auto probe_rate = [&](double rate, RateProbe& probe) {
    BenchReport report = send_at(target, sent, options, rate, probe);
    if (report.measurement.interrupted) {
      interrupted = true;
      ended_early = "interrupted";
      if (otherwise.measurement.records.empty()) otherwise = std::move(report);
      return AfterProbe::kDiscard;
    }
    probe.cut_short |= server_is_gone(report.metrics);
    on_probe(probe);
    if (server_is_gone(report.metrics)) {
      given_up = fmt::format("at {:.3f} requests/s {}", rate, failure_line(report.metrics));
      ended_early = "the server is gone";
    } else if (reports.empty() && !probe.kept && breaks_alone(target, requests, options)) {
      ended_early = "a request alone breaks them too";
    } else if (probe.kept && all_at_once(report.metrics, requests.size(), rate)) {
      ended_early = "all requests are on their way at once; more of them (--num-prompts) tell more";
    }
    if (probe.kept || !reports.contains(rate)) reports.insert_or_assign(rate, std::move(report));
    return ended_early.empty() ? AfterProbe::kGoOn : AfterProbe::kEnd;
  };
  SearchResult found = find_highest_rate(first_rate, search, probe_rate);
  const auto best = reports.find(found.highest_kept > 0 ? found.highest_kept : first_rate);
  BenchReport report = best == reports.end() ? std::move(otherwise) : std::move(best->second);
  report.search = std::move(found);
  if (best != reports.end()) report.search->reported = best->first;
  report.search->ended_early = ended_early;
  report.measurement.interrupted = interrupted;
  report.measurement.given_up = given_up;
  return report;
}

void save_results(const std::filesystem::path& folder, const std::string& name,
                  const BenchReport& report) {
  const std::pair<const char*, std::string> files[] = {{".json", bench_json(report).dump(2) + "\n"},
                                                       {".csv", bench_csv(report.measurement)},
                                                       {".html", bench_html(report)}};
  std::string fault, written;
  ErrorCode code = ErrorCode::kInvalidArgument;
  for (const auto& [ending, text] : files) {
    try {
      replace_text_file(folder / (name + ending), text);
      written += (written.empty() ? "" : ", ") + name + ending;
    } catch (const InputError& error) {
      if (fault.empty()) code = error.code();
      if (fault.empty()) fault = error.what();
    }
  }
  if (!fault.empty()) {
    throw InputError(fmt::format("{} (written: {})", fault, written.empty() ? "nothing" : written),
                     code);
  }
}

}  // namespace octet
