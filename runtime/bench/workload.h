// The requests of one measurement, all made before the first is sent. Plain data.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <variant>
#include <vector>

#include "runtime/bench/length_distribution.h"
#include "runtime/bench/trace.h"

namespace octet {

using Prompt = std::variant<std::string, std::vector<int32_t>>;

struct PlannedRequest {
  double at = 0;  // seconds after the start of the measurement
  Prompt prompt;
  int prompt_tokens = 0;  // 0: only the server knows
  int max_tokens = 1;
};

// Makes prompts of a wanted length that have, by chance alone, nothing in common: random token ids
// where the vocabulary's size is known, else random English words, each of which is one token (with
// the space before it) in the usual vocabularies. One thread.
class PromptMaker {
 public:
  // vocab_size 0: words. The first shared_prefix tokens are the same in every prompt.
  PromptMaker(int vocab_size, int shared_prefix, uint64_t seed);

  Prompt make(int tokens);

 private:
  int draw();

  const int vocab_size_;
  std::mt19937_64 random_;
  std::vector<int> prefix_;
};

struct RandomWorkload {
  LengthDistribution input, output;
  size_t count = 0;
  uint64_t seed = 0;
};
std::vector<PlannedRequest> plan_random(const RandomWorkload& workload, PromptMaker& prompts);

// Times divided by `speed`, lengths multiplied by `length_scale` (to at least 1). A row's own text
// is its prompt; where it has none, prompts.make() gives one of its length.
std::vector<PlannedRequest> plan_trace(const Trace& trace, double speed, double length_scale,
                                       PromptMaker& prompts);

// Takes out what cannot fit a model of max_model_len tokens (0: any fits); returns how many.
size_t leave_out_too_long(std::vector<PlannedRequest>& requests, int max_model_len);

// Overwrites the times of the first min(times, requests) requests.
void set_times(std::vector<PlannedRequest>& requests, const std::vector<double>& times);

}  // namespace octet
