// The communicators' operations between the world's ranks, with Open MPI's own beside them.
#pragma once

#include "comm/communicator_factory.h"

namespace octet::bench {

// Collective over the world's ranks; rank 0 prints.
void bench_comm(World& world, const std::string& kind);

}  // namespace octet::bench
