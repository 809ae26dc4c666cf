// Int8Sketch: an int8 copy of a float head, by which each row's largest logit is found without
// reading most of the head. It bounds every logit; only the blocks in which the largest one may be
// are multiplied by the head itself, so what comes out has the head's bits.
//
// With weights w = s q + e, an input x = t p + f and integers q, p, the product of the copy is
// (s q)(t p), and by Cauchy and Schwarz |w x - (s q)(t p)| <= |s q| |f| + |e| |x|. What rounding
// adds, to the head's chain of additions too, is in slack(). Rows whose logits could come near to
// what fp32 holds are not bounded, nor are those of weights or inputs that are not finite.
//
// One thread, but for the pool's.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/cpu/cpu_linear.h"

namespace octet::cpu {

class Int8Sketch {
 public:
  // Takes its memory; the first apply() fills it. shape: sketch_shape() of the head's.
  explicit Int8Sketch(const LinearShape& shape);

  // out = the head's product, or -infinity where it is certainly not the row's largest. False: too
  // much of the head would have to be read, and `out` means nothing.
  bool apply(const CpuLinear& head, const KernelTable& kernels, ThreadPool& pool,
             LinearScratch& scratch, const Tensor& x, const Tensor& out);

 private:
  void fill_block(const CpuLinear& head, const KernelTable& kernels, int64_t block);
  // The scan of a row, x: [in], of those that were quantised.
  SketchScan scan_of(const KernelTable& kernels, const QuantizedRows& rows, int64_t row,
                     std::span<const float> x, std::span<float> logits) const;

  CpuLinear product_;
  std::vector<float> sizes_, errors_;  // [blocks] the largest |s q| and |e| of its outputs
  float largest_ = 0;                  // sum of the two
  bool filled_ = false;
  // Calls for which it is not tried again, in all and of those to come: more after each failure.
  int last_pause_ = 0, pause_ = 0;
};

}  // namespace octet::cpu
