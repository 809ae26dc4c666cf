#include "runtime/layers/attention.h"

#include <cmath>
#include <utility>

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

Tensor rope_table(const ModelContext& context, int rotary_dim, double theta) {
  const int max_positions = context.max_model_len;
  const int half = rotary_dim / 2;
  const Tensor host = Tensor::host(DType::kF32, {max_positions, rotary_dim});
  for (int i = 0; i < half; ++i) {
    const double frequency = std::pow(theta, -2.0 * i / rotary_dim);
    for (int p = 0; p < max_positions; ++p) {
      float* row = host.data<float>() + int64_t{p} * rotary_dim;
      row[i] = static_cast<float>(std::cos(p * frequency));
      row[half + i] = static_cast<float>(std::sin(p * frequency));
    }
  }
  const Tensor device = context.backend.allocate(DType::kF32, host.shape());
  context.backend.upload(host, device);
  context.held_bytes += device.bytes();
  return device;
}

Attention::Attention(const WeightScope& scope, RopeStyle style, Tensor cos_sin)
    : heads_(scope.context().partition.heads(scope.context().rank, scope.context().size)),
      head_dim_(scope.context().args.head_dim),
      style_(style),
      cos_sin_(std::move(cos_sin)),
      qkv_(scope.context(), load_qkv(scope)),
      output_(scope, "o_proj", scope.context().args.hidden_size,
              int64_t{scope.context().args.num_attention_heads} * head_dim_) {}

Delta Attention::forward(Step& step, int layer, const Tensor& x, const Tensor& out) const {
  const size_t mark = step.arena.used();
  const Tensor qkv = qkv_.forward(step, x);
  step.backend.rope_store({.qkv = qkv,
                           .positions = step.input.positions,
                           .slots = step.input.slot_mapping,
                           .cos_sin = cos_sin_,
                           .style = style_,
                           .heads = heads_,
                           .head_dim = head_dim_,
                           .cache = step.cache.layer(layer)});
  const Tensor mixed =
      step.arena.allocate(DType::kF32, {x.dim(0), int64_t{heads_.num_q()} * head_dim_});
  step.backend.attention({.qkv = qkv,
                          .cu_seqlens = step.input.cu_seqlens,
                          .context_lens = step.input.context_lens,
                          .block_tables = step.input.block_tables,
                          .heads = heads_,
                          .head_dim = head_dim_,
                          .scale = 1.0f / std::sqrt(static_cast<float>(head_dim_)),
                          .alibi_slopes = {},
                          .cache = step.cache.layer(layer),
                          .out = mixed});
  const Delta delta = output_.forward(step, mixed, out);
  step.arena.release(mark);
  return delta;
}

}  // namespace octet
