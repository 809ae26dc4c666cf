// A Hugging Face folder: config.json beside safetensors.
#pragma once

#include <atomic>
#include <nlohmann/json.hpp>

#include "runtime/formats/safetensors_folder.h"
#include "runtime/weights/checkpoint.h"

namespace octet {

class FolderCheckpoint : public Checkpoint {
 public:
  explicit FolderCheckpoint(const std::filesystem::path& folder);

  CheckpointKind kind() const override { return CheckpointKind::kSafetensors; }
  const std::filesystem::path& path() const override { return path_; }
  const nlohmann::json& config() const override { return config_; }
  const std::vector<TensorInfo>& tensors() const override { return tensors_; }
  void read(std::string_view name, const TensorSlice& slice, const Tensor& out) const override;
  uint64_t bytes_read() const override { return bytes_read_; }
  void copy_companions(const std::filesystem::path& folder) const override;

 private:
  std::filesystem::path path_;
  nlohmann::json config_;
  SafetensorsFolder files_;
  std::vector<TensorInfo> tensors_;
  mutable std::atomic<uint64_t> bytes_read_{0};
};

// config.json, generation_config.json and the tokenizer's files, by name; a folder has some of
// them.
std::span<const std::string_view> companion_files();

}  // namespace octet
