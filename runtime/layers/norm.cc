#include "runtime/layers/norm.h"

namespace octet {

Norm::Norm(const WeightScope& scope, NormKind kind, int64_t hidden_size, float eps)
    : kind_(kind), eps_(eps), weight_(scope.vector("weight", hidden_size)) {
  if (kind == NormKind::kLayer) bias_ = scope.vector("bias", hidden_size);
}

void Norm::forward(Step& step, const Tensor& residual, const Delta& delta,
                   const Tensor& out) const {
  step.backend.add_norm({.residual = residual,
                         .delta = delta.value,
                         .delta_bias = delta.bias,
                         .weight = weight_,
                         .bias = bias_,
                         .eps = eps_,
                         .kind = kind_,
                         .out = out});
}

}  // namespace octet
