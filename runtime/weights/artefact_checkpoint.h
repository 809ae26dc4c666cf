// The int8 artefact as a Checkpoint. open() verifies octet.json, the size of every file, the small
// files and the safetensors headers; read() verifies the parts it reads, mapped() gives what it
// maps to Checks. So every damaged byte is found before it is used, where those are finished first.
#pragma once

#include <atomic>
#include <nlohmann/json.hpp>

#include "runtime/formats/safetensors_file.h"
#include "runtime/formats/safetensors_folder.h"
#include "runtime/weights/artefact_manifest.h"
#include "runtime/weights/checkpoint.h"
#include "runtime/weights/mapped_tensors.h"

namespace octet {

class ArtefactCheckpoint : public Checkpoint {
 public:
  explicit ArtefactCheckpoint(const std::filesystem::path& folder);

  CheckpointKind kind() const override { return CheckpointKind::kArtefact; }
  const std::filesystem::path& path() const override { return path_; }
  const nlohmann::json& config() const override { return config_; }
  const std::vector<TensorInfo>& tensors() const override { return tensors_; }
  void read(std::string_view name, const TensorSlice& slice, const Tensor& out) const override;
  int reduction_shards() const override { return manifest_.reduction_shards; }
  uint64_t bytes_read() const override { return bytes_read_ + mapped_.bytes(); }
  const MappedTensors* mapped() const override { return &mapped_; }
  void copy_companions(const std::filesystem::path& folder) const override;

 private:
  void check_tensor(const std::string& name, const TensorPlace& place) const;
  void open_blocks(const std::string& name, const ArtefactTensor& blocks);
  void read_parts(const std::string& name, size_t part_begin, size_t part_end,
                  const Tensor& out) const;

  std::filesystem::path path_;
  ArtefactManifest manifest_;
  std::unique_ptr<SafetensorsFolder> files_;
  nlohmann::json config_;
  std::vector<TensorInfo> tensors_;
  std::map<std::string, std::unique_ptr<SafetensorsFile>> block_files_;
  MappedTensors mapped_;
  mutable std::atomic<uint64_t> bytes_read_{0};
};

}  // namespace octet
