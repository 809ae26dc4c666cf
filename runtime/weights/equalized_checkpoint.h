// EqualizedCheckpoint: the same model with its columns nearer to each other in size, so that one
// int8 scale a row suits them all. Where a column of the products behind a norm is far smaller than
// the others (because the norm makes that feature far larger), the column is multiplied by a power
// of two and the norm's weight and bias are divided by it: in floating point the same function to
// the bit, in int8 a finer one. Nothing is changed where no column stands out.
//
// Borrows its source. Threads: one at a time.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "runtime/weights/checkpoint.h"

namespace octet {

class EqualizedCheckpoint : public Checkpoint {
 public:
  EqualizedCheckpoint(const Checkpoint& source, const ModelArgs& args);

  CheckpointKind kind() const override { return source_.kind(); }
  const std::filesystem::path& path() const override { return source_.path(); }
  const nlohmann::json& config() const override { return source_.config(); }
  const std::vector<TensorInfo>& tensors() const override { return tensors_; }
  void read(std::string_view name, const TensorSlice& slice, const Tensor& out) const override;
  uint64_t bytes_read() const override { return source_.bytes_read(); }
  void copy_companions(const std::filesystem::path& folder) const override {
    source_.copy_companions(folder);
  }

 private:
  struct Group {
    std::string norm;                   // "model.layers.3.input_layernorm"
    std::vector<std::string> products;  // "model.layers.3.self_attn.q_proj.weight"
  };
  void add_group(int layer, std::string_view norm,
                 std::initializer_list<std::string_view> products);
  const std::vector<float>& factors(const Group& group) const;

  const Checkpoint& source_;
  const ModelArgs args_;
  std::vector<TensorInfo> tensors_;
  std::vector<Group> groups_;
  std::map<std::string, size_t, std::less<>> group_of_;        // of each tensor that may change
  mutable std::map<std::string, std::vector<float>> factors_;  // by norm; [hidden_size]
};

}  // namespace octet
