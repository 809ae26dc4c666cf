// Sequence: a live request inside the scheduler: its tokens so far, how many of them the cache
// holds, and its blocks.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "runtime/cache/prefix_blocks.h"
#include "runtime/request/request.h"

namespace octet {

struct Sequence {
  explicit Sequence(Request r) : request(std::move(r)), tokens(request.prompt) {}

  Request request;
  std::vector<int32_t> tokens;  // prompt, then what was generated
  int num_computed = 0;         // leading tokens whose k and v are in the cache
  std::vector<int32_t> blocks;  // block i holds positions [i * block_size, (i + 1) * block_size)
  int num_known_blocks = 0;     // leading ones that PrefixBlocks knows
  PrefixBlocks::Prefix prefix = 0;     // their tokens
  std::vector<float> prompt_logprobs;  // as in RequestOutput; filled as chunks are computed
  std::vector<bool> prompt_greedy;
  bool prompt_reported = false;

  bool scores(int position) const {  // the prompt token there, from the row before it
    const SamplingParams& sampling = request.sampling;
    return sampling.prompt_logprobs && position >= sampling.prompt_logprobs_start &&
           position < num_prompt();
  }
  // The first position whose row must be computed, whatever the cache holds.
  int first_wanted() const {
    const int last = static_cast<int>(tokens.size()) - 1;
    const SamplingParams& sampling = request.sampling;
    return sampling.prompt_logprobs ? std::min(last, sampling.prompt_logprobs_start - 1) : last;
  }
  int num_prompt() const { return static_cast<int>(request.prompt.size()); }
  int num_generated() const { return static_cast<int>(tokens.size()) - num_prompt(); }
  int num_pending() const { return static_cast<int>(tokens.size()) - num_computed; }
};

}  // namespace octet
