// Norm: adds what the block before it made to the residual, and normalises the sum for the block
// after it.
#pragma once

#include "runtime/layers/linear.h"
#include "runtime/layers/step.h"
#include "runtime/layers/weight_scope.h"

namespace octet {

class Norm {
 public:
  // `scope` holds "weight" and maybe "bias"; kind, size and eps are the model's. The result is
  // multiplied by `scale`.
  explicit Norm(const WeightScope& scope, float scale = 1);

  // residual += delta; out = norm(residual). next: the product that alone reads `out`, or null; a
  // probe sees `out` all the same. Where the step shares its norms, and the delta comes from ranks,
  // both are made of this rank's own rows alone, and what `next` reads of the others is there, too.
  void forward(Step& step,
               const Tensor& residual,  // [n, hidden] in and out
               const Delta& delta,
               const Tensor& out,  // [n, hidden]
               const PackedLinear* next = nullptr) const;

 private:
  NormKind kind_;
  float eps_;
  Tensor weight_, bias_;
};

// residual += delta, where no norm comes after.
void add(Step& step, const Tensor& residual, const Delta& delta);

}  // namespace octet
