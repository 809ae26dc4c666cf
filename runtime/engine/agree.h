// What ranks must agree on before they go on together. Collective: every rank calls them in the
// same order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

#include "comm/communicator.h"

namespace octet {

inline constexpr size_t kErrorBytes = 4096;  // of a line that one rank tells the others

// Runs `work` on every rank and agrees on how it went. An InputError, or a flag that the back end
// refuses (std::invalid_argument), of one rank becomes every rank's InputError: that of the first
// such rank, with its number on the others. REQUIRES: the communicator carries messages of
// kErrorBytes.
void all_or_none(Communicator& communicator, const std::function<void()>& work);

// Rank 0's value on every rank.
int64_t broadcast_value(Communicator& communicator, int64_t value);

}  // namespace octet
