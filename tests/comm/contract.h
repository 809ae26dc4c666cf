// The communicator contract suite: what every transport must do, as functions that each rank runs
// with its own communicator. Thread ranks and mpirun's ranks run the same.
#pragma once

#include "comm/communicator_factory.h"

namespace octet::testing {

// Room for the largest case of the suite.
CommOptions contract_options();

// Each throws std::runtime_error with the values where a result is wrong.
void check_reduces(Communicator& communicator);
void check_gathers(Communicator& communicator);
void check_broadcasts(Communicator& communicator);
void check_random_sequence(Communicator& communicator);
void check_many_small_reduces(Communicator& communicator);

}  // namespace octet::testing
