// The leader's end of the link to the coordinator: turns what the coordinator says into calls of
// the Engine, and the Engine's events into messages. Called on rank 0, inside run_rank's lead().
#pragma once

#include <chrono>
#include <string>

#include "runtime/coordinator/version.h"
#include "runtime/engine/engine.h"

namespace octet {

struct LeaderLinkOptions {
  std::string coordinator;                           // HOST:PORT
  std::string served_model_name;                     // must be the coordinator's
  std::chrono::milliseconds connect_timeout{60000};  // for the coordinator to be there
  std::string version = octet_version();
};

// Dials, greets, and runs the engine in the calling thread until the coordinator says stop; then
// returns. Two threads of its own read commands and send Stats. Throws InputError (kUnreachable
// when the coordinator cannot be reached, is gone or refuses this group; the line says which),
// after engine.run() has returned; lets the engine's RankLost through.
void lead_group(Engine& engine, const LeaderLinkOptions& options);

}  // namespace octet
