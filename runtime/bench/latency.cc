#include "runtime/bench/latency.h"

#include <fmt/format.h>

#include <optional>

#include "runtime/bench/numbers.h"
#include "runtime/request/error.h"

namespace octet {
namespace {

std::optional<Latency> find_latency(const std::string& name) {
  for (const Latency latency : kLatencies) {
    if (name == latency_name(latency)) return latency;
  }
  return {};
}

std::optional<double> find_percent(const std::string& statistic) {
  if (statistic == "mean") return kMean;
  if (statistic == "median") return 50;
  if (statistic == "max") return 100;
  if (!statistic.starts_with("p")) return {};
  const std::optional<double> percent = parse_number(statistic.substr(1));
  return percent && *percent >= 0 && *percent <= 100 ? percent : std::nullopt;
}

// "NAME:MS" -> NAME and seconds; nullopt for anything else.
std::optional<std::pair<std::string, double>> split_limit(const std::string& text) {
  const size_t colon = text.find(':');
  if (colon == std::string::npos) return {};
  const std::optional<double> milliseconds = parse_number(text.substr(colon + 1));
  if (!milliseconds || *milliseconds <= 0) return {};
  return std::pair(text.substr(0, colon), *milliseconds / 1e3);
}

}  // namespace

const char* latency_name(Latency latency) {
  switch (latency) {
    case Latency::kTtft:
      return "ttft";
    case Latency::kTpot:
      return "tpot";
    case Latency::kItl:
      return "itl";
    case Latency::kE2e:
      return "e2el";
  }
  return "";
}

RequestLimit parse_request_limit(const std::string& text) {
  const auto parts = split_limit(text);
  const auto latency = parts ? find_latency(parts->first) : std::nullopt;
  if (!latency || *latency == Latency::kItl) {
    throw InputError(
        fmt::format("the limit is '{}', must be ttft, tpot or e2el, a colon and milliseconds above "
                    "0, as in ttft:200",
                    text));
  }
  return {*latency, parts->second};
}

StatisticLimit parse_statistic_limit(const std::string& text) {
  if (const auto parts = split_limit(text)) {
    const std::string& name = parts->first;
    const size_t bar = name.find('_');
    if (bar != std::string::npos) {
      const auto percent = find_percent(name.substr(0, bar));
      const auto latency = find_latency(name.substr(bar + 1));
      if (percent && latency) return {*latency, *percent, parts->second, name};
    }
  }
  throw InputError(fmt::format(
      "the limit is '{}', must be (mean, median, max or pNN)_(ttft, tpot, itl or e2el), "
      "a colon and milliseconds above 0, as in p99_ttft:500",
      text));
}

}  // namespace octet
