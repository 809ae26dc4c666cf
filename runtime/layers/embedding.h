// The vocabulary-parallel ends of a model: token embedding and head.
#pragma once

#include <vector>

#include "comm/reduce_plan.h"
#include "runtime/layers/linear.h"
#include "runtime/layers/step.h"
#include "runtime/layers/weight_scope.h"

namespace octet {

// Each rank has some rows of the table; rows that another rank has are +0 here, so the sum over
// ranks is exact.
class VocabParallelEmbedding {
 public:
  VocabParallelEmbedding(const WeightScope& scope, int64_t vocab_size, int64_t hidden_size);

  void forward(Step& step, const Tensor& out) const;  // out: [n, hidden]

 private:
  Tensor table_;  // [rows of this rank, hidden], as stored
  int32_t first_id_ = 0;
  ReducePlan plan_;
};

// Logits of some rows; each rank computes the slice of the vocabulary that it has, rank 0 gathers.
class LmHead {
 public:
  // `scope` holds "weight": lm_head, or the embedding where they are tied.
  LmHead(const WeightScope& scope, int64_t vocab_size, int64_t hidden_size);

  // x: [m, hidden] -> [m, vocab_size] on rank 0, empty elsewhere. Memory from the step's arena.
  Tensor forward(Step& step, const Tensor& x) const;

 private:
  std::unique_ptr<ColumnParallelLinear> linear_;
  std::vector<int64_t> columns_;  // vocabulary rows of each rank
};

}  // namespace octet
