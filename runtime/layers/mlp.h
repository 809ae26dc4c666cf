// GatedMlp: down(silu(gate(x)) * up(x)), gate and up as one product (Shazeer 2020).
#pragma once

#include "runtime/layers/linear.h"
#include "runtime/layers/step.h"
#include "runtime/layers/weight_scope.h"

namespace octet {

class GatedMlp {
 public:
  explicit GatedMlp(const WeightScope& scope);  // holds gate_proj, up_proj, down_proj

  // x: [n, hidden]; out: [n, hidden], the caller's memory for the result.
  Delta forward(Step& step, const Tensor& x, const Tensor& out) const;

 private:
  ColumnParallelLinear gate_up_;
  RowParallelLinear down_;
};

}  // namespace octet
