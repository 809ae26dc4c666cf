// One tensor from a checkpoint into a file of the artefact, some rows at a time.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "runtime/formats/safetensors_file.h"
#include "runtime/formats/safetensors_writer.h"
#include "runtime/weights/checkpoint.h"
#include "runtime/weights/quantize_plan.h"

namespace octet {

// Converts and writes; returns the hashes of the parts of what was written: the tensor, its scale
// and its blocks. Memory: a few times kQuantizeChunkBytes, or a block of rows where that is more,
// and the scales. `blocks`: where the tensor's are to go, if it has any. Throws InputError: NaN or
// infinity, by name and place.
inline constexpr uint64_t kQuantizeChunkBytes = 16 << 20;
std::map<std::string, std::vector<uint64_t>> quantize_tensor(const Checkpoint& source,
                                                             const PlannedTensor& tensor,
                                                             SafetensorsWriter& writer,
                                                             SafetensorsWriter* blocks);

// The same hashes, of what the files have.
std::map<std::string, std::vector<uint64_t>> stored_hashes(const SafetensorsFile& file,
                                                           const SafetensorsFile* blocks,
                                                           const PlannedTensor& tensor);

}  // namespace octet
