// Norms shared out between ranks that can read each other's memory: each adds, normalises and
// quantises some of a step's rows, its own, and takes the others' as its peers have made them.
//
// From the first such norm on a rank's residual is its own rows' alone, so every norm behind it,
// up to the last, is shared too. A row's bits do not depend on who makes it.
#pragma once

#include "kernels/tensor.h"
#include "runtime/layers/step.h"

namespace octet {

// May this step's norms be shared? The same on all ranks. REQUIRES of the model: each norm whose
// sum comes from ranks is read by one product alone, or is the last.
bool can_share_norms(const Step& step);

RowRange own_rows(const Step& step);

// After the norm of its own rows: brings the others', for linear(x, next).
void share_ready_rows(Step& step, const Tensor& x, const PackedLinear& next);

// sampled[i] = x[sampled_rows[i]], where each rank's x has its own rows.
void share_sampled_rows(Step& step, const Tensor& x, const Tensor& sampled);

}  // namespace octet
