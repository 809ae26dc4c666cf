// One row of logits on the CPU: its Shortlist. The same bits on every instruction set.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/shortlist.h"

namespace octet::cpu {

Shortlist shortlist_of(std::span<const float> logits, float inverse_temperature,
                       int32_t scored_token);

}  // namespace octet::cpu
