// A Hugging Face folder: config.json beside safetensors or torch's .bin files; int8 weights of
// other programs come in the artefact's form (int8_weights.h).
#pragma once

#include <atomic>
#include <nlohmann/json.hpp>
#include <span>

#include "runtime/formats/tensor_folder.h"
#include "runtime/weights/checkpoint.h"
#include "runtime/weights/int8_weights.h"

namespace octet {

class FolderCheckpoint : public Checkpoint {
 public:
  explicit FolderCheckpoint(const std::filesystem::path& folder);

  CheckpointKind kind() const override { return CheckpointKind::kFolder; }
  const std::filesystem::path& path() const override { return path_; }
  const nlohmann::json& config() const override { return config_; }
  const std::vector<TensorInfo>& tensors() const override { return tensors_; }
  void read(std::string_view name, const TensorSlice& slice, const Tensor& out) const override;
  uint64_t bytes_read() const override { return bytes_read_; }
  void copy_companions(const std::filesystem::path& folder) const override;

 private:
  void add(std::string name, DType dtype, const Shape& shape, const TensorEntry& stored);

  std::filesystem::path path_;
  nlohmann::json config_;
  TensorFolder files_;
  Int8Weights int8_;
  std::vector<TensorInfo> tensors_;
  mutable std::atomic<uint64_t> bytes_read_{0};
};

// config.json, generation_config.json and the tokenizer's files, by name; a folder has some of
// them.
std::span<const std::string_view> companion_files();

}  // namespace octet
