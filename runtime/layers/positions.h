// How attention learns where its rows are: rotation of q and k, or a bias on the scores, or neither
// (the embedding has it).
#pragma once

#include "kernels/backend.h"
#include "runtime/layers/weight_scope.h"

namespace octet {

struct Positions {
  RopeStyle style = RopeStyle::kNone;
  Tensor cos_sin;       // [max_model_len, rotary_dim]; see RopeStoreArgs
  Tensor alibi_slopes;  // [query heads of this rank]
};

// What the model's ModelArgs say. Made once, shared by the layers.
//
// Rotation (Su et al. 2021, section 3.2.2): the angle of pair i at position p is
// p * theta^(-2i / rotary_dim), the frequency scaled as rope_scaling says. ALiBi (Press et al.
// 2022): n heads have slopes 2^(-8 / n * (1..n)); where n is no power of two, those of the power
// below, then every other one of the power above.
Positions make_positions(const ModelContext& context);

}  // namespace octet
