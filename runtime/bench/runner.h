// The load: sends planned requests at their times, whatever the answers do, and writes down what
// came back. A request waits for nothing but its time; a thread of its own waits for its answer.
// Where that cannot be (max_concurrency, or more answers outstanding than kMostThreads) the wait
// counts as latency: records count from when a request was due, not from when it was sent.
#pragma once

#include <atomic>
#include <cstddef>
#include <functional>
#include <vector>

#include "runtime/bench/record.h"
#include "runtime/bench/target.h"
#include "runtime/bench/workload.h"

namespace octet {

constexpr size_t kMostThreads = 2000;

struct RunOptions {
  // Unfinished requests at most; 0: no limit. With requests that are all due at once this is a
  // closed loop: each is due when one before it has ended.
  size_t max_concurrency = 0;
  double max_seconds = 0;                          // after which nothing more is sent; 0: no limit
  const std::atomic<bool>* interrupted = nullptr;  // true: send no more, cancel what is in flight
  // Called about ten times a second from run_load's thread. True from it ends the load like
  // `interrupted`, but without being called so.
  std::function<bool(const std::vector<Record>& so_far)> on_progress = {};
};

// Sends all of `requests` (in order; REQUIRES times that do not decrease) and returns when the last
// answer has ended. Throws nothing for what a server does: failures are records. After kGiveUpAfter
// requests in a row that found no server or no worker group it sends no more.
LoadResult run_load(Target& target, const std::vector<PlannedRequest>& requests,
                    const RunOptions& options);

constexpr int kGiveUpAfter = 10;

}  // namespace octet
