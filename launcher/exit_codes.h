// What the octet command's exit status says; `octet --help` prints the same table.
#pragma once

#include "runtime/request/error.h"

namespace octet {

enum ExitCode {
  kExitOk = 0,
  kExitBug = 1,          // an error that should not have been possible
  kExitUsage = 2,        // a wrong flag, file or request
  kExitGroupLost = 3,    // the worker group ended on its own: a rank died or stopped answering
  kExitUnreachable = 4,  // no server there, or no address to listen on
  kExitNotNow = 5,       // the queue or the disk is full, or the deadline passed
  kExitDiffers = 6,      // verify: out of tolerance
  kExitInterrupted = 130,
};

ExitCode exit_code_of(const InputError& error);

}  // namespace octet
