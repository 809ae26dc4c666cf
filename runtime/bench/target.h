// Target: a server that load is put on. The seam between the runner and what is measured.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "runtime/bench/workload.h"

namespace octet {

// Facts of the server, as far as it tells them.
struct TargetInfo {
  std::string model;
  int max_model_len = 0;         // 0: unknown
  int vocab_size = 0;            // 0: unknown; prompts must be text
  int tensor_parallel_size = 0;  // 0: unknown
};

struct AnswerCounts {
  int prompt_tokens = 0;  // 0: the server does not say
  int output_tokens = 0;  // 0: the server does not say; the caller has counted
};

// Called as tokens arrive with how many came together, at least 1; false ends the answer.
using OnTokens = std::function<bool(int tokens)>;

// One client. One thread at a time, except cancel().
class Connection {
 public:
  virtual ~Connection() = default;

  // Sends the request, returns when the answer has ended. Throws InputError: with kUnreachable when
  // nothing answers there, else with what the server said.
  virtual AnswerCounts ask(const PlannedRequest& request, const OnTokens& on_tokens) = 0;

  // Ends ask(), now or the next time, from any thread: it throws InputError (kCancelled).
  virtual void cancel() = 0;
};

class Target {
 public:
  virtual ~Target() = default;

  virtual const TargetInfo& info() const = 0;

  // Any thread. The connection goes before the target.
  virtual std::unique_ptr<Connection> connect() = 0;
};

// Several servers of one model as one: requests go to them in turn. REQUIRES at least one.
std::unique_ptr<Target> spread_over(std::vector<std::unique_ptr<Target>> targets);

}  // namespace octet
