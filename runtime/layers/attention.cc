#include "runtime/layers/attention.h"

#include <cmath>

namespace octet {
namespace {

LinearWeight load_qkv(const WeightScope& scope) {
  const ModelArgs& args = scope.context().args;
  const int64_t d = args.head_dim;
  return scope.column_parallel({{"q_proj", args.num_attention_heads * d},
                                {"k_proj", args.num_key_value_heads * d},
                                {"v_proj", args.num_key_value_heads * d}},
                               args.hidden_size);
}

}  // namespace

Attention::Attention(const WeightScope& scope, int layer, const Positions& positions)
    : heads_(scope.context().partition.heads(scope.context().rank, scope.context().size)),
      head_dim_(scope.context().args.head_dim),
      layer_(layer),
      sliding_window_(scope.context().args.window_of_layer(layer)),
      norm_eps_(scope.context().args.norm_eps),
      positions_(positions),
      qkv_(scope.context(), load_qkv(scope)),
      output_(scope, "o_proj", scope.context().args.hidden_size,
              int64_t{scope.context().args.num_attention_heads} * head_dim_) {
  if (scope.has("q_norm.weight")) {
    q_norm_ = scope.vector("q_norm.weight", head_dim_);
    k_norm_ = scope.vector("k_norm.weight", head_dim_);
  }
}

Delta Attention::forward(Step& step, const Tensor& x, const Tensor& out) const {
  const size_t mark = step.arena.used();
  step.observe(Stage::kAttentionInput, layer_, x);
  const Tensor qkv = qkv_.forward(step, x);
  step.observe(Stage::kQkv, layer_, qkv);
  step.backend.rope_store({.qkv = qkv,
                           .q_norm = q_norm_,
                           .k_norm = k_norm_,
                           .norm_eps = norm_eps_,
                           .positions = step.input.positions,
                           .slots = step.input.slot_mapping,
                           .cos_sin = positions_.cos_sin,
                           .style = positions_.style,
                           .heads = heads_,
                           .head_dim = head_dim_,
                           .cache = step.cache.layer(layer_)});
  const Tensor mixed =
      step.arena.allocate(DType::kF32, {x.dim(0), int64_t{heads_.num_q()} * head_dim_});
  step.backend.attention({.qkv = qkv,
                          .cu_seqlens = step.input.cu_seqlens,
                          .context_lens = step.input.context_lens,
                          .block_tables = step.input.block_tables,
                          .heads = heads_,
                          .head_dim = head_dim_,
                          .scale = 1.0f / std::sqrt(static_cast<float>(head_dim_)),
                          .sliding_window = sliding_window_,
                          .alibi_slopes = positions_.alibi_slopes,
                          .cache = step.cache.layer(layer_),
                          .out = mixed});
  step.observe(Stage::kAttention, layer_, mixed);
  const Delta delta = output_.forward(step, mixed, out);
  step.observe(Stage::kAttentionOutput, layer_, delta.value);
  step.arena.release(mark);
  return delta;
}

}  // namespace octet
