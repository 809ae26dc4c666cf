// A GGUF file as a Checkpoint: its own names and row order, block formats delivered as fp32.
#pragma once

#include <atomic>
#include <map>
#include <nlohmann/json.hpp>

#include "runtime/formats/file.h"
#include "runtime/formats/ggml_types.h"
#include "runtime/formats/gguf_file.h"
#include "runtime/weights/checkpoint.h"

namespace octet {

class GgufCheckpoint : public Checkpoint {
 public:
  explicit GgufCheckpoint(const std::filesystem::path& path);

  CheckpointKind kind() const override { return CheckpointKind::kGguf; }
  const std::filesystem::path& path() const override { return header_.path(); }
  const nlohmann::json& config() const override { return config_; }
  const std::vector<TensorInfo>& tensors() const override { return tensors_; }
  void read(std::string_view name, const TensorSlice& slice, const Tensor& out) const override;
  uint64_t bytes_read() const override { return bytes_read_; }
  void copy_companions(const std::filesystem::path& folder) const override;

 private:
  struct Source {
    const GgufTensor* tensor = nullptr;
    const GgmlTypeInfo* type = nullptr;
    Shape shape;
  };
  [[noreturn]] void fail(const GgufTensor& tensor, const std::string& what) const;
  void add(const GgufTensor& tensor);
  void read_rope_factors(const GgufTensor& tensor);

  GgufFile header_;
  InputFile file_;
  nlohmann::json config_;
  std::map<std::string, Source, std::less<>> sources_;
  std::vector<TensorInfo> tensors_;
  mutable std::atomic<uint64_t> bytes_read_{0};
};

}  // namespace octet
