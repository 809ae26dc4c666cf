// The journal: every live request with all that a replay needs, which is what makes a lost group
// survivable.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "runtime/request/request.h"

namespace octet {

// Receives one request's events, in order, from one thread at a time.
class RequestSink {
 public:
  virtual ~RequestSink() = default;
  virtual void on_output(const RequestOutput& output) = 0;
  virtual void on_lost(const std::string& why) = 0;  // the group is gone; nothing follows
};

struct JournalEntry {
  Request request;                    // as it was submitted: prompt ids, parameters, seed
  std::vector<int32_t> emitted;       // ids so far, at most request.sampling.max_tokens
  std::shared_ptr<RequestSink> sink;  // nullptr: cancelled; the group's last event is awaited
};

// By request id. An entry lives from admission to the group's last event for it.
using Journal = std::unordered_map<uint64_t, JournalEntry>;

}  // namespace octet
