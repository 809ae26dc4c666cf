#include "runtime/capacity/measurement.h"

#include <algorithm>
#include <fstream>
#include <sstream>

#include "runtime/capacity/reference_model.h"
#include "runtime/engine/engine.h"

namespace octet {
namespace {

// A line of a /proc file of kibibytes.
double proc_bytes(const char* file, const std::string& key) {
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    if (!line.starts_with(key)) continue;
    std::istringstream rest(line.substr(key.size()));
    double kibibytes = 0;
    rest >> kibibytes;
    return kibibytes * 1024;
  }
  return 0;
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
  const double reserved =
      proc_bytes("/proc/self/status", "RssAnon:") + proc_bytes("/proc/self/status", "RssShmem:");
  profile.facts["reserved_bytes"] = {reserved, measurement.source};
  profile.facts["memory_bytes"] = {proc_bytes("/proc/meminfo", "MemTotal:"), "/proc/meminfo"};
  profile.tables = measure_operations(measurement.phase(0, 0.5));
  std::vector<ProfileTable> in_place = measure_engine(measurement.phase(0.5, 1), profile);
  profile.tables.insert(profile.tables.end(), std::make_move_iterator(in_place.begin()),
                        std::make_move_iterator(in_place.end()));
  return profile;
}

}  // namespace octet
