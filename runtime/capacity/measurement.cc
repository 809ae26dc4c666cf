#include "runtime/capacity/measurement.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "runtime/capacity/reference_model.h"
#include "runtime/engine/engine.h"

namespace octet {
namespace {

// The number after `key` in a /proc file; 0 where there is none.
double proc_value(const std::string& file, const std::string& key) {
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    if (!line.starts_with(key)) continue;
    std::istringstream rest(line.substr(key.size()));
    double value = 0;
    rest >> value;
    return value;
  }
  return 0;
}

double proc_bytes(const std::string& file, const std::string& key) {
  return proc_value(file, key) * 1024;  // such lines are in kibibytes
}

// What a process holds of a kind of pages, of those that are shared its share.
double resident_bytes(const std::string& process, const std::string& kind) {
  return proc_bytes("/proc/" + process + "/smaps_rollup", kind + ":");
}

std::string parent_of(const std::string& process) {
  return fmt::format("{:.0f}", proc_value("/proc/" + process + "/status", "PPid:"));
}

// The heap of a rank that has taken nothing but its communicator's buffers.
double heap_bytes(const Measurement& measurement) {
  const int size = measurement.communicator.size();
  const size_t buffers =
      communicator_bytes(measurement_comm_options(measurement.options, size), size);
  const double all = resident_bytes("self", "Pss_Anon") + resident_bytes("self", "Pss_Shmem");
  return std::max(0.0, all - static_cast<double>(buffers));
}

// What the machine has, and what a group takes of it beside the ledger. Called when all parts of
// the program have run: their pages count.
void state_memory(const Measurement& measurement, double heap, HardwareProfile& profile) {
  const std::string mpirun = parent_of("self"), starter = parent_of(mpirun);
  profile.facts["memory_bytes"] = {proc_bytes("/proc/meminfo", "MemTotal:"), "/proc/meminfo"};
  profile.facts["launcher_bytes"] = {resident_bytes(mpirun, "Pss") + resident_bytes(starter, "Pss"),
                                     measurement.source};
  profile.tables.push_back({.operation = "memory.reserved",
                            .ranks = measurement.communicator.size(),
                            .grid = Grid({}, {heap + resident_bytes("self", "Pss_File")}),
                            .source = measurement.source});
}

}  // namespace

Measurement Measurement::phase(double begin, double end) const {
  Measurement part = *this;
  part.progress = [report = progress, begin, end](const std::string& label, double share) {
    report(label, begin + (end - begin) * share);
  };
  return part;
}

CommOptions measurement_comm_options(const EngineOptions& options, int size) {
  CommOptions comm{.kind = options.communicator, .timeout = options.step_timeout};
  comm.max_reduce_floats = size_t{4} << 20;
  for (const int layers : kReferenceLayers) {
    const ReferenceModel model(options, layers);
    const CommOptions of_engine = comm_options(model.options(), size);
    comm.max_reduce_floats = std::max(comm.max_reduce_floats, of_engine.max_reduce_floats);
    comm.max_message_bytes = std::max(comm.max_message_bytes, of_engine.max_message_bytes);
  }
  return comm;
}

HardwareProfile measure_machine(const Measurement& measurement) {
  HardwareProfile profile;
  profile.device = "cpu";
  const double heap = heap_bytes(measurement);
  profile.tables = measure_operations(measurement.phase(0, 0.5));
  std::vector<ProfileTable> in_place = measure_engine(measurement.phase(0.5, 1), profile);
  profile.tables.insert(profile.tables.end(), std::make_move_iterator(in_place.begin()),
                        std::make_move_iterator(in_place.end()));
  state_memory(measurement, heap, profile);
  return profile;
}

}  // namespace octet
