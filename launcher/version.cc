// octet version: what this binary is and what it was built with.
#include "runtime/coordinator/version.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "kernels/backend_factory.h"
#include "launcher/verbs.h"
#include "runtime/models/registry.h"

namespace octet {

Verb add_version(CLI::App& octet) {
  CLI::App* command = octet.add_subcommand("version", "What this binary is and can do here");
  return {command, [] {
            fmt::print("octet {}\ninstruction sets of this machine: {}\nfamilies: {}\n",
                       octet_version(), fmt::join(available_isas(), ", "),
                       fmt::join(known_families(), ", "));
            return 0;
          }};
}

}  // namespace octet
