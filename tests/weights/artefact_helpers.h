// Artefacts of the tiny model, and reads of all that is in one.
#pragma once

#include <filesystem>
#include <vector>

#include "runtime/models/open_model.h"
#include "runtime/weights/mapped_tensors.h"
#include "runtime/weights/quantizer.h"
#include "tests/weights/tiny_model.h"

namespace octet {

inline QuantizeReport quantize(const std::filesystem::path& in, const std::filesystem::path& out,
                               const QuantizeOptions& options = {}, int shards = 4) {
  const ModelFiles source = open_model({.path = in});
  return quantize_checkpoint(*source.checkpoint, Partition(source.args, shards), out, options);
}

inline Tensor read_whole(const Checkpoint& checkpoint, std::string_view name) {
  const TensorInfo* info = checkpoint.find(name);
  Tensor out = Tensor::host(info->dtype, info->shape);
  checkpoint.read(name, {.axis = 0, .begin = 0, .end = info->shape[0]}, out);
  return out;
}

// open(), a read of every tensor and the checks of what can be mapped: what finds any damage.
inline void read_everything(const Checkpoint& checkpoint) {
  for (const TensorInfo& info : checkpoint.tensors()) {
    const Tensor weight = read_whole(checkpoint, info.name);
    if (checkpoint.mapped() != nullptr) checkpoint.mapped()->check_blocks(info.name, weight);
  }
}
inline void read_everything(const std::filesystem::path& artefact) {
  read_everything(*Checkpoint::open(artefact));
}

}  // namespace octet
