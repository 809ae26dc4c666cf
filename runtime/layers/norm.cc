#include "runtime/layers/norm.h"

#include <optional>

#include "kernels/check.h"
#include "runtime/layers/shared_norms.h"

namespace octet {

Norm::Norm(const WeightScope& scope, float scale)
    : kind_(scope.context().args.norm), eps_(scope.context().args.norm_eps) {
  const int64_t hidden_size = scope.context().args.hidden_size;
  weight_ = scope.vector("weight", hidden_size, scale);
  if (scope.has("bias")) bias_ = scope.vector("bias", hidden_size, scale);
}

void Norm::forward(Step& step, const Tensor& residual, const Delta& delta, const Tensor& out,
                   const PackedLinear* next) const {
  const bool shared = step.shares_norms && !delta.unfolded.empty();
  step.backend.add_norm({.residual = residual,
                         .delta = delta.value,
                         .unfolded = delta.unfolded,
                         .delta_bias = delta.bias,
                         .weight = weight_,
                         .bias = bias_,
                         .eps = eps_,
                         .kind = kind_,
                         .out = out,
                         .next = step.probe == nullptr ? next : nullptr,
                         .rows = shared ? std::optional(own_rows(step)) : std::nullopt});
  if (shared && next != nullptr) share_ready_rows(step, out, *next);
}

void add(Step& step, const Tensor& residual, const Delta& delta) {
  if (delta.value.empty()) return;
  OCTET_CHECK(!step.shares_norms, "all rows of a residual of which this rank has some");
  step.backend.add_norm({.residual = residual,
                         .delta = delta.value,
                         .unfolded = delta.unfolded,
                         .delta_bias = delta.bias,
                         .weight = {},
                         .bias = {},
                         .out = {}});
}

}  // namespace octet
