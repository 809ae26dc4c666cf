// The part of the communicator contract that only devices have.
#pragma once

#include "comm/communicator.h"
#include "kernels/backend.h"

namespace octet::testing {

// A step whose operations stand in one graph, replayed: each time with new roots. Throws
// std::runtime_error with the values where a sum is wrong.
void check_replayed_step(Communicator& communicator, Backend& backend);

}  // namespace octet::testing
