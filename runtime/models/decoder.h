// Decoder: embedding, blocks, final norm, head; what every family here is made of. What differs is
// said by ModelArgs, and by which tensors the checkpoint has: learned positions, a norm of the
// embedding, projections of a narrower embedding, a final norm.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "runtime/layers/embedding.h"
#include "runtime/layers/position_embedding.h"
#include "runtime/models/blocks.h"
#include "runtime/models/causal_lm.h"

namespace octet {

class Decoder : public CausalLM {
 public:
  explicit Decoder(const ModelContext& context);

  Tensor forward(Step& step) const override;
  Tensor logits(Step& step, const Tensor& hidden) const override;
  std::vector<uint64_t> outliers() const override;

 private:
  explicit Decoder(const WeightScope& root);
  void embed(Step& step, Stream& stream) const;

  const ModelArgs args_;
  LmHead head_;
  VocabParallelEmbedding embedding_;  // borrows head_ where that is the embedding
  std::optional<ColumnParallelLinear> project_in_, project_out_;
  std::optional<PositionEmbedding> positions_;
  std::optional<Norm> embedding_norm_, norm_;
  std::vector<std::unique_ptr<Block>> blocks_;
};

}  // namespace octet
