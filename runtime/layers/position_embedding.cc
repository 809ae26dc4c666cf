#include "runtime/layers/position_embedding.h"

namespace octet {

PositionEmbedding::PositionEmbedding(const WeightScope& scope)
    : offset_(scope.context().args.position_offset) {
  const ModelArgs& args = scope.context().args;
  table_ = scope.table(args.max_position_embeddings + args.position_offset, args.hidden_size).rows;
}

void PositionEmbedding::forward(Step& step, const Tensor& out) const {
  step.backend.embed(step.input.positions, table_, -offset_, out);
}

}  // namespace octet
