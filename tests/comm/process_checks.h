// Checks of the communicator contract with ranks as processes, under mpirun.
#pragma once

#include <fmt/format.h>

#include <cstdio>
#include <initializer_list>

#include "comm/communicator_factory.h"
#include "kernels/backend.h"

namespace octet::testing {

struct ProcessCheck {
  const char* name;
  void (*check)(Communicator& communicator, Backend& backend);
};

// Every rank runs every check; one that fails ends all with code 1.
inline void run_checks(World& world, const char* kind, Communicator& communicator, Backend& backend,
                       std::initializer_list<ProcessCheck> checks) {
  for (const auto& [name, check] : checks) {
    try {
      check(communicator, backend);
      if (world.rank() == 0) fmt::print("[ OK ] {} {} at {} ranks\n", kind, name, world.size());
    } catch (const std::exception& error) {
      fmt::print(stderr, "[ FAILED ] {} {}: {}\n", kind, name, error.what());
      world.abort(1);
    }
  }
}

}  // namespace octet::testing
