// Speed of a worker group without a server between: all requests at once, or one batch again and
// again. Called on the leader, inside run_rank().
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "runtime/bench/workload.h"
#include "runtime/engine/engine.h"
#include "runtime/report/summary.h"

namespace octet {

struct Throughput {
  size_t requests = 0;
  int64_t input_tokens = 0, output_tokens = 0;
  double seconds = 0;  // from the first submitted to the last token
  uint64_t steps = 0, preemptions = 0;
  double reduce_share = 0;  // of the time in steps, rank 0's view
};

struct OfflineWatch {
  std::function<void(size_t done, size_t total)> progress;
  std::function<bool()> interrupted;  // asked after each step; true ends the measurement, and the
                                      // engine serves no more
};

// REQUIRES prompts of ids. Answers go on to max_tokens. An interrupted one is of the requests that
// were answered. Throws InputError for a request that cannot run, or when none was answered.
Throughput measure_throughput(Engine& engine, const std::vector<PlannedRequest>& requests,
                              const OfflineWatch& watch);

struct BatchLatency {
  int batch_size = 0, input_len = 0, output_len = 0;
  Summary whole;    // seconds from the batch submitted to its last token, an iteration each
  Summary prefill;  // to the first token of its last sequence
  Summary decode;   // from there on, by token of a sequence: the time of a step

  double output_tokens_per_second() const;  // of the median iteration
};

struct LatencyOptions {
  int batch_size = 8, input_len = 32, output_len = 128;
  int iterations = 10, warmups = 2;
  uint64_t seed = 0;
};

// An interrupted one is of the iterations that were complete. Throws InputError when none was.
BatchLatency measure_latency(Engine& engine, const LatencyOptions& options,
                             const OfflineWatch& watch);

std::string throughput_text(const Throughput& result);
nlohmann::ordered_json throughput_json(const Throughput& result);  // under vLLM's names
std::string latency_text(const BatchLatency& result);
nlohmann::ordered_json latency_json(const BatchLatency& result);

}  // namespace octet
