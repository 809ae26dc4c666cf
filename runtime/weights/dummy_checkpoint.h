// DummyCheckpoint: a model's tensors with random values and no files, so that the true shapes of a
// model can be run where its weights are not. A value depends on the tensor's name and the place in
// it alone, so that every rank and every slice sees the same model.
#pragma once

#include <atomic>
#include <nlohmann/json.hpp>
#include <string>

#include "runtime/weights/checkpoint.h"
#include "runtime/weights/module_names.h"

namespace octet {

class DummyCheckpoint : public Checkpoint {
 public:
  // As an int8 artefact would have them: matrices of the layers (and the head, where int8_head)
  // int8 with scales, others bf16, vectors fp32. `path`: for messages.
  DummyCheckpoint(std::filesystem::path path, nlohmann::json config, const ModelArgs& args,
                  std::span<const ModuleName> modules, bool int8_head = false);

  CheckpointKind kind() const override { return CheckpointKind::kDummy; }
  const std::filesystem::path& path() const override { return path_; }
  const nlohmann::json& config() const override { return config_; }
  const std::vector<TensorInfo>& tensors() const override { return tensors_; }
  void read(std::string_view name, const TensorSlice& slice, const Tensor& out) const override;
  int reduction_shards() const override { return Partition::kDefaultShards; }
  uint64_t bytes_read() const override { return bytes_read_; }
  void copy_companions(const std::filesystem::path& folder) const override;

 private:
  void add(const std::string& name, DType dtype, const Shape& shape);
  void add_int8(const std::string& name, const Shape& shape);  // and its scale

  std::filesystem::path path_;
  nlohmann::json config_;
  std::vector<TensorInfo> tensors_;
  mutable std::atomic<uint64_t> bytes_read_{0};
};

}  // namespace octet
