// The vocabulary-parallel ends of a model: token embedding and head.
#pragma once

#include <string_view>
#include <vector>

#include "comm/reduce_plan.h"
#include "runtime/layers/linear.h"
#include "runtime/layers/step.h"
#include "runtime/layers/weight_scope.h"

namespace octet {

// Logits of some rows; each rank computes the slice of the vocabulary that it has, rank 0 gathers.
class LmHead {
 public:
  // `module`: the head's weight and maybe bias, under `root`; see head_module().
  LmHead(const WeightScope& root, std::string_view module, int64_t vocab_size, int64_t hidden_size);

  // x: [m, hidden] -> [m, vocab_size] on rank 0, empty elsewhere. Memory from the step's arena.
  // Where the step wants but each row's largest, others may be -infinity.
  Tensor forward(Step& step, const Tensor& x) const;

  const PackedLinear& packed() const { return linear_.packed(); }  // this rank's rows
  int32_t first_id() const { return first_id_; }                   // of them

 private:
  ColumnParallelLinear linear_;
  int32_t first_id_ = 0;
  std::vector<size_t> columns_;  // vocabulary rows of each rank
};

// Each rank has some rows of the table; rows that another rank has are +0 here, so the sum over
// ranks is exact.
class VocabParallelEmbedding {
 public:
  VocabParallelEmbedding(const WeightScope& scope, int64_t vocab_size, int64_t hidden_size);
  // Tied: the head's weights are the table, and are held once. Borrowed. REQUIRES: not int8.
  VocabParallelEmbedding(const LmHead& head, int size);

  void forward(Step& step, const Tensor& out) const;  // out: [n, hidden]

 private:
  void rows(Step& step, const Tensor& out) const;

  Tensor table_;  // [rows of this rank, hidden], as stored; empty where tied
  const PackedLinear* tied_ = nullptr;
  int32_t first_id_ = 0;
  ReducePlan plan_;
};

}  // namespace octet
