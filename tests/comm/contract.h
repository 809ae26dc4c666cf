// The communicator contract suite: what every transport must do, as functions that each rank runs
// with its own communicator, and the back end whose memory that works on. Threads, mpirun's ranks
// and devices run the same.
#pragma once

#include "comm/communicator_factory.h"
#include "kernels/backend.h"

namespace octet::testing {

// Room for the largest case of the suite.
CommOptions contract_options();

// Each throws std::runtime_error with the values where a result is wrong.
void check_reduces(Communicator& communicator, Backend& backend);
void check_gathers(Communicator& communicator, Backend& backend);
void check_broadcasts(Communicator& communicator, Backend& backend);
void check_random_sequence(Communicator& communicator, Backend& backend);
void check_many_small_reduces(Communicator& communicator, Backend& backend);

}  // namespace octet::testing
