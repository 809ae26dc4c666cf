// Holds a model against a reference of it, layer by layer and rank by rank: is each layer, given
// the reference's input, what the reference makes of it?
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "runtime/engine/engine_options.h"
#include "runtime/evaluation/stage_error.h"

namespace octet {

struct VerifyOptions {
  EngineOptions tested, reference;
  std::vector<std::vector<int32_t>> prompts;  // at least two ids each
  double tolerance = 0.1;                     // of a stage's relative error (fault_of)
};

struct VerifyReport {
  int num_layers = 0;
  int64_t num_tokens = 0;           // of the prompts
  std::vector<StageError> errors;   // by layer, stage, rank
  std::optional<StageError> first;  // the first of them that has a fault
  std::vector<uint64_t> outliers;   // of each layer, in two runs of the prompts; an input that
                                    // every rank has counts on each
  double kl_divergence = 0;         // of the tested model from the reference, mean of a token, nats
  double reference_perplexity = 0, tested_perplexity = 0;  // of the prompts
  bool logits_ok = false;                                  // the head, given the reference's stream

  bool ok() const { return !first && logits_ok; }
};

// Collective over `communicator`, which must carry both models (comm_options). The report is rank
// 0's; the others' is empty. Throws InputError: models that cannot be held against each other.
VerifyReport verify(const VerifyOptions& options, Communicator& communicator);

}  // namespace octet
