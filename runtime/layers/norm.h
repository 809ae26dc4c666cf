// Norm: adds what the block before it made to the residual, and normalises the sum for the block
// after it.
#pragma once

#include "runtime/layers/linear.h"
#include "runtime/layers/step.h"
#include "runtime/layers/weight_scope.h"

namespace octet {

class Norm {
 public:
  // `scope` holds "weight" and, for kLayer, "bias".
  Norm(const WeightScope& scope, NormKind kind, int64_t hidden_size, float eps);

  // residual += delta; out = norm(residual).
  void forward(Step& step,
               const Tensor& residual,  // [n, hidden] in and out
               const Delta& delta,
               const Tensor& out) const;  // [n, hidden]

 private:
  NormKind kind_;
  float eps_;
  Tensor weight_, bias_;
};

}  // namespace octet
