// Measurement: how fast this machine does the parts of a step, through the real back end and the
// real communicator, as tables of a HardwareProfile. All ranks of a group measure at the same time,
// so that they share what they will share when they serve.
//
// Collective: every rank calls with the same options; rank 0's result is the one to keep. Throws
// InputError for an option that cannot be, RankLost.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "comm/communicator_factory.h"
#include "runtime/capacity/hardware_profile.h"
#include "runtime/engine/engine_options.h"

namespace octet {

struct Measurement {
  EngineOptions options;  // device, isa, threads
  Communicator& communicator;
  std::string source;  // of the tables: "octet profile on ..."
  std::function<void(const std::string& label, double share)> progress;  // share of all: 0 to 1

  // The same, its progress from `begin` to `end` of this one's.
  Measurement phase(double begin, double end) const;
};

// What the communicator must be able to carry.
CommOptions measurement_comm_options(const EngineOptions& options, int size);

// Linear layers by rows, outputs and inputs; attention by rows, context, group and head size;
// norms, rotations, embedding, sampling; reduces and gathers.
std::vector<ProfileTable> measure_operations(const Measurement& measurement);

// A reference model in the real engine, against the sum of its parts by `profile`, which holds the
// operations' tables: "layer.in_place" and "step.overhead".
std::vector<ProfileTable> measure_engine(const Measurement& measurement,
                                         const HardwareProfile& profile);

// The two, and the facts of this host.
HardwareProfile measure_machine(const Measurement& measurement);

}  // namespace octet
