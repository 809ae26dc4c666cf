// A worker group inside the test's process: one thread a rank, the real engine on top.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "runtime/engine/engine.h"

namespace octet::testing {

struct Answer {
  std::vector<int32_t> ids;
  std::vector<float> logprobs;
  std::vector<float> prompt_logprobs;
  FinishReason finish = FinishReason::kNone;
  std::string error;
  bool operator==(const Answer&) const = default;
};

// Runs `lead` on rank 0 of a group of `ranks` threads; rethrows what rank 0 threw, else what
// another rank threw.
void run_group(const EngineOptions& options, int ranks, const std::function<void(Engine&)>& lead);

// Submits all requests at once and collects their answers, by request id.
std::map<uint64_t, Answer> answer_all(const EngineOptions& options, int ranks,
                                      const std::vector<Request>& requests);

// `count` prompts of 1 to max_length random tokens with seeds of their own: in turn greedy, with
// top_k, with top_p, with neither.
std::vector<Request> random_requests(int count, int max_length, int max_tokens, int vocab_size,
                                     uint32_t seed);

// octet quantize, in process.
std::filesystem::path quantize(const std::filesystem::path& checkpoint,
                               const std::filesystem::path& out, bool int8_head = false);

}  // namespace octet::testing
