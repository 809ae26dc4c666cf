// Attention's part of measure_operations. See measurement.h.
#pragma once

#include <vector>

#include "kernels/backend.h"
#include "runtime/capacity/measurement.h"

namespace octet {

// "attention" by tasks (rows x KV heads of this rank), context, group (query heads of a KV head)
// and head_dim, over a bf16 cache; and "rotate_store" by rows, heads (query and KV) and head_dim.
std::vector<ProfileTable> measure_attention(Backend& backend, const Measurement& measurement);

}  // namespace octet
