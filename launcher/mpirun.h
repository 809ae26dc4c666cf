// mpirun's command line: found on PATH, with the flags that it needs as root and with more ranks
// than cores.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "comm/communicator_factory.h"

namespace octet {

// mpirun ... -n RANKS THIS_PROGRAM ARGUMENTS. Throws InputError when there is no mpirun.
std::vector<std::string> mpirun_command(int ranks, const std::vector<std::string>& arguments,
                                        const std::string& hostfile = "");

// Runs `mpirun -n RANKS` of this program on this terminal, copies what it writes to stdout, and
// waits. Returns the exit code of the ranks, kExitGroupLost when one was killed. Throws InputError
// when it cannot be started, when mpirun itself is killed, and when stdout takes no more, which
// ends the ranks. Main thread; interrupts are kept from then on, and one ends the ranks, then this
// process.
int run_under_mpirun(int ranks, const std::vector<std::string>& arguments);
int run_under_mpirun(int ranks);  // of this very command line

// Joins the world and runs body on this rank. An InputError is one line, from rank 0; a lost rank
// ends the others. Returns the exit code. The process ends when mpirun does.
int run_in_world(const char* verb, const std::function<int(World&)>& body);

}  // namespace octet
