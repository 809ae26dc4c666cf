// The verbs under `octet bench`, one file each.
#pragma once

#include "launcher/verbs.h"

namespace octet {

Verb add_bench_serve(CLI::App& bench);
Verb add_bench_throughput(CLI::App& bench);
Verb add_bench_latency(CLI::App& bench);

}  // namespace octet
