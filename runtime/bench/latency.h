// The four latencies of a streamed answer, under vLLM's names, and limits on them.
#pragma once

#include <array>
#include <string>

namespace octet {

inline constexpr double kMs = 1e3;  // milliseconds of a second, in which latencies are told

// Time to the first token; time per output token after it; between two messages with tokens; to the
// end of the answer.
enum class Latency { kTtft, kTpot, kItl, kE2e };
inline constexpr std::array kLatencies{Latency::kTtft, Latency::kTpot, Latency::kItl,
                                       Latency::kE2e};
const char* latency_name(Latency latency);  // "ttft", "tpot", "itl", "e2el"

// What one request must keep to count as good: "ttft:200", in milliseconds. Not itl, of which a
// request has many.
struct RequestLimit {
  Latency latency = Latency::kTtft;
  double seconds = 0;
};
RequestLimit parse_request_limit(const std::string& text);  // throws InputError

// What a statistic over all requests must keep: "p99_ttft:500", "mean_tpot:50", "max_itl:900".
struct StatisticLimit {
  Latency latency = Latency::kTtft;
  double percent = 50;  // of the percentile; kMean: the mean
  double seconds = 0;
  std::string name;  // "p99_ttft"
};
constexpr double kMean = -1;
StatisticLimit parse_statistic_limit(const std::string& text);  // throws InputError

}  // namespace octet
