// Checkpoint: a read-only source of named tensors, whatever the files are: a Hugging Face folder
// (safetensors or torch's .bin files, sharded or not), a GGUF file, or an int8 artefact. Names are
// the file's own; int8 weights X.weight have X.weight_scale, F32 [out].
//
// The files are hostile: every length is checked before use. Errors: InputError naming the file,
// the tensor and the values. Thread-safe after open().
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/tensor.h"
#include "runtime/weights/model_args.h"
#include "runtime/weights/partition.h"

namespace octet {

class MappedTensors;

struct TensorInfo {
  std::string name;
  DType dtype = DType::kF32;  // as read() delivers it; GGUF's block formats are delivered as kF32
  Shape shape;
  std::string stored_as;  // the file's own name for the type: "BF16", "Q4_1"
  uint64_t stored_bytes = 0;
  int parts = 1;  // with a checksum each, in an artefact
};

enum class CheckpointKind {
  kFolder,  // a Hugging Face folder, of torch's .bin files too
  kGguf,
  kArtefact,
  kDummy,
};

class Checkpoint {
 public:
  virtual ~Checkpoint() = default;

  // Decides by what is there: PATH/octet.json, PATH/*.safetensors, PATH/pytorch_model*.bin, or a
  // file with GGUF's magic.
  static std::unique_ptr<Checkpoint> open(const std::filesystem::path& path);

  virtual CheckpointKind kind() const = 0;
  virtual const std::filesystem::path& path() const = 0;
  virtual const nlohmann::json& config()
      const = 0;  // config.json, or its equivalent made from GGUF's metadata
  virtual const std::vector<TensorInfo>& tensors() const = 0;  // sorted by name
  const TensorInfo* find(std::string_view name) const;

  // Reads the slice into `out` (host; dtype of TensorInfo, the slice's shape), from the byte ranges
  // of that slice only, and verifies the checksums of its parts where the checkpoint has them.
  // REQUIRES: the slice is inside the tensor; axis 1 only of a matrix. The slice's own part numbers
  // are not looked at.
  virtual void read(std::string_view name, const TensorSlice& slice, const Tensor& out) const = 0;

  // What can be used where it lies in the files, once its Checks have been made; null: nothing can.
  virtual const MappedTensors* mapped() const { return nullptr; }

  // 0: not an artefact; else the R its row-parallel weights were quantised for.
  virtual int reduction_shards() const { return 0; }
  virtual uint64_t bytes_read() const = 0;  // from the files' tensor data, by this object

  // Puts config.json, the tokenizer's files and generation_config.json into `folder`, as they came;
  // from GGUF: config.json made of its metadata, and tokenizer.gguf.
  virtual void copy_companions(const std::filesystem::path& folder) const = 0;
};

}  // namespace octet
