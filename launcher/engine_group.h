// A worker group for the length of one piece of work, of the verbs that need no server.
#pragma once

#include <functional>

#include "runtime/engine/engine.h"

namespace octet {

// Whether this process is not a rank yet and has to become some: then run_under_mpirun() does the
// work, and this process waits.
bool needs_mpirun(const EngineOptions& options, int tensor_parallel_size);

// Runs `work` on the leader of a group of this world's ranks (with --communicator lone: of one rank
// of tensor_parallel_size). Returns the exit code.
int run_engine_group(const char* verb, const EngineOptions& options, int tensor_parallel_size,
                     const std::function<void(Engine&)>& work);

}  // namespace octet
