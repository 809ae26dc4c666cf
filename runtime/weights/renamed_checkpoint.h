// RenamedCheckpoint: a published checkpoint under the names and layouts of module_names.h. Fused
// matrices come apart, transposed ones are turned, a slice at a time; nothing else is held.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "runtime/weights/checkpoint.h"
#include "runtime/weights/module_names.h"

namespace octet {

class RenamedCheckpoint : public Checkpoint {
 public:
  // Throws InputError: a tensor that no module is, or of a shape that its layout cannot have.
  RenamedCheckpoint(std::unique_ptr<Checkpoint> published, const ModelArgs& args,
                    std::span<const ModuleName> modules);

  CheckpointKind kind() const override { return published_->kind(); }
  const std::filesystem::path& path() const override { return published_->path(); }
  const nlohmann::json& config() const override { return published_->config(); }
  const std::vector<TensorInfo>& tensors() const override { return tensors_; }
  void read(std::string_view name, const TensorSlice& slice, const Tensor& out) const override;
  uint64_t bytes_read() const override { return published_->bytes_read(); }
  void copy_companions(const std::filesystem::path& folder) const override {
    published_->copy_companions(folder);
  }

 private:
  // Rows of the tensor in the published one: groups of `run` rows, `stride` apart, from `first`;
  // or, where head_dim is not 0, all of them, in heads of interleaved rows.
  struct Source {
    std::string name;
    bool transposed = false;
    int64_t first = 0, run = 0, stride = 0;
    int64_t head_dim = 0;
  };
  struct Match {
    const ModuleName* module;
    int layer;
    std::string_view suffix;
  };
  std::optional<Match> match(std::string_view tensor, const ModuleName& module) const;
  void add(const TensorInfo& info, const Match& match);
  Source source_of(const TensorInfo& info, const ModuleName& module, Shape* shape) const;
  int64_t interleaved_head_dim(const TensorInfo& info, const ModuleName& module) const;
  void read_rows(const Source& source, int64_t begin, int64_t end, const Tensor& out) const;
  void read_transposed(const Source& source, const TensorInfo& info, const TensorSlice& slice,
                       const Tensor& out) const;

  std::unique_ptr<Checkpoint> published_;
  const ModelArgs args_;
  std::map<std::string, Source, std::less<>> sources_;
  std::vector<TensorInfo> tensors_;
};

}  // namespace octet
