// Attention: q, k, v as one product, rotation and cache write, paged causal attention, output
// product with its reduce.
#pragma once

#include "runtime/layers/linear.h"
#include "runtime/layers/step.h"
#include "runtime/layers/weight_scope.h"

namespace octet {

// cos and sin of every position and pair: [max_model_len, rotary_dim] on the device, rotary_dim / 2
// cosines, then as many sines. Angle of pair i at position p: p * theta^(-2i / rotary_dim) (Su et
// al. 2021, section 3.2.2).
Tensor rope_table(const ModelContext& context, int rotary_dim, double theta);

class Attention {
 public:
  // `scope` holds q_proj, k_proj, v_proj, o_proj; `cos_sin` is shared by the layers.
  Attention(const WeightScope& scope, RopeStyle style, Tensor cos_sin);

  // x: [n, hidden]; out: [n, hidden], the caller's memory for the result.
  Delta forward(Step& step, int layer, const Tensor& x, const Tensor& out) const;

 private:
  HeadRange heads_;
  int head_dim_;
  RopeStyle style_;
  Tensor cos_sin_;
  ColumnParallelLinear qkv_;
  RowParallelLinear output_;
};

}  // namespace octet
