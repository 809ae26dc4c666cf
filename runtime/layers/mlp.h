// Mlp: down(act(up(x))), or down(silu(gate(x)) * up(x)) with gate and up as one product (Shazeer
// 2020), as the model's activation says.
#pragma once

#include "runtime/layers/linear.h"
#include "runtime/layers/step.h"
#include "runtime/layers/weight_scope.h"

namespace octet {

class Mlp {
 public:
  // `scope` holds up_proj, down_proj and, for kSiluGate, gate_proj.
  Mlp(const WeightScope& scope, int layer);

  // x: [n, hidden]; out: [n, hidden], the caller's memory for a value that is made at
  // once.
  Delta forward(Step& step, const Tensor& x, const Tensor& out) const;

  const PackedLinear& first_product() const { return up_.packed(); }
  uint64_t outliers() const { return up_.outliers() + down_.outliers(); }

 private:
  int layer_;
  ColumnParallelLinear up_;
  RowParallelLinear down_;
};

}  // namespace octet
