// Whole models: steps of decode and of prefill through the engine, on every rank of the world.
#pragma once

#include <vector>

#include "comm/communicator_factory.h"
#include "runtime/engine/engine_options.h"

namespace octet::bench {

struct DecodeCase {
  std::vector<int> batches;  // sequences that decode together
  int context = 0;           // tokens of each prompt
  int tokens = 0;            // steps of a run
  bool logprobs = false;     // of the tokens made
};

// Collective over the world's ranks; rank 0 measures the limits for all their threads and prints.
// Throws InputError as run_rank does.
void bench_decode(World& world, EngineOptions options, const DecodeCase& wanted);
void bench_prefill(World& world, EngineOptions options, const std::vector<int>& prompts);

}  // namespace octet::bench
