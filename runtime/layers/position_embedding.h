// PositionEmbedding: learned positions, a row of a table each; every rank has the table.
#pragma once

#include "runtime/layers/step.h"
#include "runtime/layers/weight_scope.h"

namespace octet {

class PositionEmbedding {
 public:
  // `scope` holds "weight": [max_position_embeddings + position_offset, hidden].
  explicit PositionEmbedding(const WeightScope& scope);

  void forward(Step& step, const Tensor& out) const;  // out: [n, hidden]

 private:
  Tensor table_;  // as stored
  int32_t offset_;
};

}  // namespace octet
