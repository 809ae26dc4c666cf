// ReferenceModel: the model that a machine's engine is measured with: dummy weights, a config.json
// in a folder of its own. The folder goes with the object.
#pragma once

#include <array>
#include <filesystem>

#include "runtime/engine/engine_options.h"

namespace octet {

// Two depths: their difference is layers alone.
inline constexpr std::array kReferenceLayers{4, 12};
inline constexpr int kReferenceRows = 512;  // of a step at most

class ReferenceModel {
 public:
  // device, isa and threads of `given`. Throws InputError when the folder cannot be written.
  ReferenceModel(const EngineOptions& given, int num_hidden_layers);
  ~ReferenceModel();
  ReferenceModel(const ReferenceModel&) = delete;
  ReferenceModel& operator=(const ReferenceModel&) = delete;

  const EngineOptions& options() const { return options_; }

 private:
  std::filesystem::path folder_;
  EngineOptions options_;
};

}  // namespace octet
