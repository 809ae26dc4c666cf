// What is known of one request after it was sent. All times in seconds after the start of the
// measurement. Plain data.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "runtime/bench/latency.h"
#include "runtime/request/error.h"

namespace octet {

struct Record {
  size_t index = 0;              // of its PlannedRequest
  double due = 0;                // when it was to be sent; latencies count from here
  double sent = 0;               // when it was
  double end = 0;                // when its answer, or its error, was there
  std::vector<double> arrivals;  // of its tokens, message by message
  int prompt_tokens = 0, output_tokens = 0;
  std::string error;                             // "": answered in full
  ErrorCode code = ErrorCode::kInvalidArgument;  // of the error

  bool ok() const { return error.empty() && !arrivals.empty(); }

  // REQUIRES ok(). tpot of an answer of one token is 0; itl, of which there are many, is not here.
  double latency(Latency latency) const;
};

struct LoadResult {
  std::vector<Record> records;  // of what was sent, in the order of their ends
  size_t planned = 0;           // requests that were to be sent
  double seconds = 0;           // from the first due to the last end
  size_t most_in_flight = 0;
  bool interrupted = false;  // by the user
  std::string given_up;      // why the rest was not sent; "": nothing kept it back
};

}  // namespace octet
