// octet bench: measures a service (serve) or a worker group without one (throughput, latency).
#include <array>

#include "launcher/bench_verbs.h"
#include "launcher/verbs.h"

namespace octet {

Verb add_bench(CLI::App& octet) {
  CLI::App* command =
      octet.add_subcommand("bench", "Measure a running service, or a model's speed");
  command->require_subcommand(1);
  const std::array verbs{add_bench_serve(*command), add_bench_throughput(*command),
                         add_bench_latency(*command)};
  return {command, [verbs] {
            for (const Verb& verb : verbs) {
              if (verb.command->parsed()) return verb.run();
            }
            return 0;
          }};
}

}  // namespace octet
