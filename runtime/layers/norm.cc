#include "runtime/layers/norm.h"

namespace octet {

Norm::Norm(const WeightScope& scope, float scale)
    : kind_(scope.context().args.norm), eps_(scope.context().args.norm_eps) {
  const int64_t hidden_size = scope.context().args.hidden_size;
  weight_ = scope.vector("weight", hidden_size, scale);
  if (scope.has("bias")) bias_ = scope.vector("bias", hidden_size, scale);
}

void Norm::forward(Step& step, const Tensor& residual, const Delta& delta, const Tensor& out,
                   const PackedLinear* next) const {
  step.backend.add_norm({.residual = residual,
                         .delta = delta.value,
                         .unfolded = delta.unfolded,
                         .delta_bias = delta.bias,
                         .weight = weight_,
                         .bias = bias_,
                         .eps = eps_,
                         .kind = kind_,
                         .out = out,
                         .next = step.probe == nullptr ? next : nullptr});
}

void add(Step& step, const Tensor& residual, const Delta& delta) {
  if (delta.value.empty()) return;
  step.backend.add_norm({.residual = residual,
                         .delta = delta.value,
                         .unfolded = delta.unfolded,
                         .delta_bias = delta.bias,
                         .weight = {},
                         .bias = {},
                         .out = {}});
}

}  // namespace octet
