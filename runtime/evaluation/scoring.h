// Log-likelihoods of texts under a model, batched through the engine: what perplexity and tasks are
// made of.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "runtime/engine/engine.h"

namespace octet {

struct ScoredText {
  std::vector<int32_t> ids;
  int start = 1;  // ids from here on are scored; at least 1, less than ids.size()
};

struct Score {
  double logprob = 0;   // natural log, summed over the scored tokens
  int tokens = 0;       // how many those are
  bool greedy = false;  // would greedy have taken every one of them?
};

// done, total: scored tokens.
using ScoringProgress = std::function<void(uint64_t done, uint64_t total)>;

// Scores in the order of the texts; the engine runs until it is idle. REQUIRES: nobody else submits
// to it. Throws InputError naming the text's number where one cannot run.
std::vector<Score> score_all(Engine& engine, std::span<const ScoredText> texts,
                             const ScoringProgress& progress);

}  // namespace octet
