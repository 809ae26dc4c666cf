// What an artefact of a checkpoint will hold: each tensor's type, parts and file. Made before
// anything is written; all that can be wrong with the source's names and shapes is found here.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "kernels/weight_blocks.h"
#include "runtime/formats/safetensors_writer.h"
#include "runtime/weights/checkpoint.h"
#include "runtime/weights/partition.h"
#include "runtime/weights/quantizer.h"

namespace octet {

// The same weight once more, as products on the CPU read it: [blocks, columns of a block].
struct PlannedBlocks {
  WeightBlocks layout;
  Shape shape;
  std::vector<int64_t>
      cuts;  // of the shape's dimension PlannedTensor::axis, where slices can begin
};

struct PlannedTensor {
  const TensorInfo* source = nullptr;
  std::string other_name;     // where it is not the source's: a head that is made of the embedding
  DType dtype = DType::kF32;  // kI8: with a scale, scale_name()
  int axis = 0;
  std::vector<int64_t> cuts, scale_cuts;
  std::optional<PlannedBlocks> blocks;

  const std::string& name() const { return other_name.empty() ? source->name : other_name; }
  std::string scale_name() const { return name() + "_scale"; }
  std::string blocks_name() const { return name() + "_blocks"; }
  // Of the source; what is made of another tensor counts there.
  uint64_t bytes_in() const { return other_name.empty() ? source->stored_bytes : 0; }
};

struct PlannedFile {
  std::string name;
  std::vector<PlannedTensor> tensors;
  std::vector<SafetensorsSpec> specs;  // with the scales
  uint64_t bytes = 0;                  // of them
  std::string blocks_name;             // a file of its own for the blocks; empty: there are none
  std::vector<SafetensorsSpec> blocks;
};

struct ArtefactPlan {
  std::vector<PlannedFile> files;
  uint64_t bytes_in = 0, bytes_out = 0;  // of tensor data
  uint64_t bytes_of_blocks = 0;          // beside them
};

// A tied int8 head is made of the embedding, and stands beside it. Throws InputError naming the
// source and the tensor: not the family's, missing in a layer, of a shape that the config does not
// give, not of a float type, empty. The plan points into `source`.
ArtefactPlan plan_artefact(const Checkpoint& source, const Partition& partition,
                           const QuantizeOptions& options);

}  // namespace octet
