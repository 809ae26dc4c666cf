// The linear layers' part of measure_operations. See measurement.h.
#pragma once

#include <vector>

#include "kernels/backend.h"
#include "runtime/capacity/measurement.h"

namespace octet {

// One table each of "linear.column", "linear.gated", "linear.row" (int8) and "linear.float" (bf16),
// by rows, outputs and inputs of this rank and by the inputs' tail: 0, normal; 1, silu(normal) *
// normal, with as many outliers as trained models have. Takes the back end's one reserve().
std::vector<ProfileTable> measure_linear(Backend& backend, const Measurement& measurement);

}  // namespace octet
