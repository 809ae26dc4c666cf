// Plan: a model's files and what follows from them and the options, before any weight is read.
#pragma once

#include "runtime/engine/engine_options.h"
#include "runtime/models/open_model.h"
#include "runtime/weights/partition.h"

namespace octet {

// What the options say of the model's files.
ModelSource model_source(const EngineOptions& options);

struct Plan {
  // shards: of the partition; 0: the artefact's own, or the default. Throws InputError: what
  // open_model and resolve_options throw; more ranks than the model can be cut into.
  Plan(const EngineOptions& options, int size, int shards = 0);

  ModelFiles files;
  Partition partition;
  EngineOptions options;  // resolved
};

}  // namespace octet
