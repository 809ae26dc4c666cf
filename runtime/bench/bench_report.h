// What is told of one measurement of a service: on the terminal, as JSON under vLLM's names, as a
// CSV of every request, as one HTML page.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "runtime/bench/metrics.h"
#include "runtime/bench/rate_search.h"

namespace octet {

struct BenchReport {
  nlohmann::ordered_json settings;  // name: value, as a reader needs them to repeat it
  LoadResult measurement;
  Metrics metrics;
  std::vector<RequestLimit> request_limits;
  std::vector<StatisticLimit> statistic_limits;
  std::optional<SearchResult> search;  // the measurement is then that at the rate found
};

std::string bench_text(const BenchReport& report, const std::vector<double>& percentiles);
nlohmann::ordered_json bench_json(const BenchReport& report);
std::string bench_csv(const LoadResult& measurement);
std::string bench_html(const BenchReport& report);

std::string search_text(const RateProbe& probe, const std::vector<StatisticLimit>& limits);
std::string search_answer(const SearchResult& search);

// The errors as one line: how many of how many failed, the most frequent one; "" without any.
std::string failure_line(const Metrics& metrics);

std::string settings_value(const nlohmann::ordered_json& value);  // text without its quotes

}  // namespace octet
