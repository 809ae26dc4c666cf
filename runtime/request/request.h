// What a client asks of a model and what comes back: plain data, the same on the wire, in the
// scheduler and in tests.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace octet {

struct SamplingParams {
  int max_tokens = 16;       // at least 1, unless prompt_logprobs, where 0 asks for scores alone
  float temperature = 1.0f;  // 0: greedy
  int top_k = 0;             // 0: all
  float top_p = 1.0f;        // (0, 1]
  uint64_t seed = 0;         // the draw for position p depends on (seed, p) alone
  bool ignore_eos = false;   // go on after the model's end-of-sequence tokens
  std::vector<int32_t> stop_token_ids;  // besides the model's own; the stop token is emitted last
  bool logprobs = true;  // of the tokens made; greedy decoding costs less without (the API's
                         // default)
  bool prompt_logprobs = false;   // also score the prompt's tokens from prompt_logprobs_start on
  int prompt_logprobs_start = 1;  // at least 1: the first token has nothing before it
};

struct Request {
  uint64_t id = 0;  // unique among live requests
  std::vector<int32_t> prompt;
  SamplingParams sampling;
};

enum class FinishReason { kNone, kStop, kLength, kCancelled, kError };
const char* finish_reason_name(FinishReason reason);  // "", "stop", "length", "cancelled", "error"

// One event of a request's stream. Events of a request come in order; the last has finish != kNone.
struct RequestOutput {
  uint64_t request_id = 0;
  int32_t token = -1;    // -1: no token in this event
  float logprob = 0.0f;  // natural log of the token's probability under the model (temperature 1);
                         // 0 where it was not asked for
  FinishReason finish = FinishReason::kNone;
  // In the first event, when asked for: the log-probability of each prompt token scored, and
  // whether it is the one that greedy would take. [prompt.size() - prompt_logprobs_start]
  std::vector<float> prompt_logprobs;
  std::vector<bool> prompt_greedy;
  std::string error;  // kError: one line
};

// Throws InputError naming the field and the values.
void validate(const SamplingParams& sampling);

}  // namespace octet
