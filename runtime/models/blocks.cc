#include "runtime/models/blocks.h"

#include <utility>

namespace octet {

PreNormBlock::PreNormBlock(const WeightScope& scope, int layer, const Positions& positions)
    : input_norm_(scope / "input_layernorm"),
      post_norm_(scope / "post_attention_layernorm"),
      attention_(scope / "self_attn", layer, positions),
      mlp_(scope / "mlp", layer) {}

void PreNormBlock::forward(Step& step, Stream& s) const {
  input_norm_.forward(step, s.residual, s.delta, s.x, &attention_.first_product());
  s.delta = attention_.forward(step, s.x, s.out);
  post_norm_.forward(step, s.residual, s.delta, s.x, &mlp_.first_product());
  s.delta = mlp_.forward(step, s.x, s.out);
}

ParallelBlock::ParallelBlock(const WeightScope& scope, int layer, const Positions& positions)
    : input_norm_(scope / "input_layernorm"),
      attention_(scope / "self_attn", layer, positions),
      mlp_(scope / "mlp", layer) {
  if (scope.context().args.norms_per_block == 2) {
    mlp_norm_.emplace(scope / "post_attention_layernorm");
  }
}

void ParallelBlock::forward(Step& step, Stream& s) const {
  input_norm_.forward(step, s.residual, s.delta, s.x);
  const Delta attention = attention_.forward(step, s.x, s.out);
  if (mlp_norm_) mlp_norm_->forward(step, s.residual, {}, s.x);
  add(step, s.residual, attention);  // not before the norms, not after the next collective
  s.delta = mlp_.forward(step, s.x, s.out);
}

PostNormBlock::PostNormBlock(const WeightScope& scope, int layer, const Positions& positions)
    : attention_norm_(scope / "input_layernorm"),
      mlp_norm_(scope / "post_attention_layernorm"),
      attention_(scope / "self_attn", layer, positions),
      mlp_(scope / "mlp", layer) {}

// The norm's result is the stream from there on.
void PostNormBlock::forward(Step& step, Stream& s) const {
  add(step, s.residual, s.delta);
  s.delta = {};
  attention_norm_.forward(step, s.residual, attention_.forward(step, s.residual, s.out), s.x);
  std::swap(s.residual, s.x);
  mlp_norm_.forward(step, s.residual, mlp_.forward(step, s.residual, s.out), s.x);
  std::swap(s.residual, s.x);
}

std::unique_ptr<Block> make_block(const WeightScope& scope, int layer, const Positions& positions) {
  const ModelArgs& args = scope.context().args;
  if (args.parallel_residual) return std::make_unique<ParallelBlock>(scope, layer, positions);
  if (args.post_norm) return std::make_unique<PostNormBlock>(scope, layer, positions);
  return std::make_unique<PreNormBlock>(scope, layer, positions);
}

}  // namespace octet
