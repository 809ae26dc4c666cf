#include "runtime/layers/position_embedding.h"

namespace octet {

PositionEmbedding::PositionEmbedding(const WeightScope& scope)
    : offset_(scope.context().args.position_offset) {
  const ModelArgs& args = scope.context().args;
  TensorSlice all;
  const Tensor rows = scope.rows("weight", args.max_position_embeddings + args.position_offset,
                                 args.hidden_size, &all);
  table_ = scope.context().backend.allocate(rows.dtype(), rows.shape());
  scope.context().backend.upload(rows, table_);
  scope.context().held_bytes += scope.context().backend.allocated_bytes(table_.bytes());
}

void PositionEmbedding::forward(Step& step, const Tensor& out) const {
  step.backend.embed(step.input.positions, table_, -offset_, out);
}

}  // namespace octet
