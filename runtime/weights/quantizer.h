// The int8 artefact's writer: streams a checkpoint into a folder, one tensor in memory at a time.
// The format is described in docs/artefact.md.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "runtime/weights/checkpoint.h"
#include "runtime/weights/partition.h"

namespace octet {

struct QuantizeOptions {
  int64_t max_shard_bytes = int64_t{5}
                            << 30;  // a model-*.safetensors file is closed past this size
  bool equalize = true;             // see EqualizedCheckpoint
  bool blocks = true;  // beside the weights, once more as products on the CPU read them: a start
                       // then maps them, nothing is copied
  bool int8_head = false;  // else the head is kept as the embedding is
  // After each tensor: what is done and what there is, in bytes of the source.
  std::function<void(const std::string& tensor, uint64_t done, uint64_t total)> progress;
};

struct QuantizeReport {
  uint64_t bytes_in = 0, bytes_out = 0, bytes_of_blocks = 0;
  int tensors = 0, quantized = 0;
  int resumed = 0;  // of the tensors, finished by an earlier run
};

// Writes OUT beside itself (OUT.partial), fsyncs, renames: OUT is never half an artefact. A run
// that was cut off is taken up where it stopped. REQUIRES: partition was made for source's config.
// Throws InputError: OUT exists, no room, NaN or infinity in a weight (by name and place), a tensor
// the family does not know or one that is missing.
QuantizeReport quantize_checkpoint(const Checkpoint& source, const Partition& partition,
                                   const std::filesystem::path& out,
                                   const QuantizeOptions& options);

}  // namespace octet
