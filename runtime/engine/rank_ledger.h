// RankLedger: the bytes that one rank will take, computed before it takes any; what `octet plan`
// prints, what a rank refuses to start by, and what it holds itself to once it has started.
#pragma once

#include <cstddef>

#include "runtime/engine/plan.h"
#include "runtime/models/footprint.h"

namespace octet {

struct RankLedger {
  size_t weights = 0;        // packed, with scales, norms, biases and position tables
  size_t scratch = 0;        // the back end's own
  size_t kv_cache = 0;       // all blocks
  size_t workspace = 0;      // activations and logits of a step
  size_t input = 0;          // a step's ModelInput
  size_t communication = 0;  // this rank's part of the communicator's buffers
  size_t staging = 0;        // beyond the weights, while they are read and packed; given back

  size_t total() const;      // once loaded
  size_t peak() const;       // the most at any time, where the device's memory is the host's
  size_t on_device() const;  // of total(), where a device has memory of its own
};

// Of rank `rank` of `size`, with as many blocks as the plan's options give. `backend` is asked for
// sizes only.
RankLedger rank_ledger(const Plan& plan, Backend& backend, int rank, int size);

// The products and tensors behind it.
Footprint footprint(const Plan& plan, Backend& backend, int rank, int size);

struct MemoryThere {
  size_t available = 0;  // bytes, of the host or of one device
  int devices = 0;       // of the host, with memory of their own; 0: the ranks share the host's
};

// Throws InputError unless as many such ranks of `size` as share a memory fit into it; says what
// takes how much. REQUIRES: no rank has taken anything yet but the communicator's buffers.
void require_memory(const RankLedger& ledger, const EngineOptions& resolved, int size,
                    const MemoryThere& memory);

}  // namespace octet
