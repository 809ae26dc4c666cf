// What an artefact of a checkpoint will hold: each tensor's type, parts and file. Made before
// anything is written; all that can be wrong with the source's names and shapes is found here.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/formats/safetensors_writer.h"
#include "runtime/weights/checkpoint.h"
#include "runtime/weights/partition.h"

namespace octet {

struct PlannedTensor {
  const TensorInfo* source = nullptr;
  std::string other_name;     // where it is not the source's: a head that is made of the embedding
  DType dtype = DType::kF32;  // kI8: with a scale, scale_name()
  int axis = 0;
  std::vector<int64_t> cuts, scale_cuts;

  const std::string& name() const { return other_name.empty() ? source->name : other_name; }
  std::string scale_name() const { return name() + "_scale"; }
  // Of the source; what is made of another tensor counts there.
  uint64_t bytes_in() const { return other_name.empty() ? source->stored_bytes : 0; }
};

struct PlannedFile {
  std::string name;
  std::vector<PlannedTensor> tensors;
  std::vector<SafetensorsSpec> specs;  // with the scales
  uint64_t bytes = 0;                  // of them
};

struct ArtefactPlan {
  std::vector<PlannedFile> files;
  uint64_t bytes_in = 0, bytes_out = 0;  // of tensor data
};

// int8_head: a tied head is made of the embedding, and stands beside it. Throws InputError naming
// the source and the tensor: not the family's, missing in a layer, of a shape that the config does
// not give, not of a float type, empty. The plan points into `source`.
ArtefactPlan plan_artefact(const Checkpoint& source, const Partition& partition,
                           int64_t max_shard_bytes, bool int8_head);

}  // namespace octet
