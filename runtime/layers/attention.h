// Attention: q, k, v as one product, rotation and cache write, paged causal attention, output
// product with its reduce.
#pragma once

#include "runtime/layers/linear.h"
#include "runtime/layers/positions.h"
#include "runtime/layers/step.h"
#include "runtime/layers/weight_scope.h"

namespace octet {

class Attention {
 public:
  // `scope` holds q_proj, k_proj, v_proj, o_proj, and q_norm and k_norm where the model has them;
  // layer: of the cache, and of the model's windows.
  Attention(const WeightScope& scope, int layer, const Positions& positions);

  // x: [n, hidden]; out: [n, hidden], the caller's memory for a value that is made at
  // once.
  Delta forward(Step& step, const Tensor& x, const Tensor& out) const;

  const PackedLinear& first_product() const { return qkv_.packed(); }
  uint64_t outliers() const { return qkv_.outliers() + output_.outliers(); }

 private:
  HeadRange heads_;
  int head_dim_, layer_, sliding_window_;
  float norm_eps_;
  Positions positions_;
  Tensor q_norm_, k_norm_;  // [head_dim] or empty
  ColumnParallelLinear qkv_;
  RowParallelLinear output_;
};

}  // namespace octet
