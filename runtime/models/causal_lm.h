// CausalLM: one rank's part of a decoder-only language model. A family is one file that composes
// shared layers; it names no rank and no device. One thread.
#pragma once

#include <cstdint>
#include <vector>

#include "runtime/layers/step.h"

namespace octet {

class CausalLM {
 public:
  virtual ~CausalLM() = default;

  // Runs all layers over the step's tokens; returns the rows to be sampled, after the final norm:
  // [num_sampled, hidden], in the step's arena.
  virtual Tensor forward(Step& step) const = 0;

  // Logits of some of those rows: [m, hidden] -> [m, vocab_size] on rank 0, empty elsewhere; see
  // LmHead.
  virtual Tensor logits(Step& step, const Tensor& hidden) const = 0;

  // Of each layer: outliers among the inputs of its int8 products since start, on this rank.
  virtual std::vector<uint64_t> outliers() const = 0;
};

}  // namespace octet
