// WeightScope: a named view of this rank's slices of a checkpoint. `scope / "mlp"` goes one name
// deeper; the readers cut by the Partition, so that no layer and no family names a rank.
//
// Borrows everything in its ModelContext. Errors are InputError naming file and tensor.
#pragma once

#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

#include "kernels/linear_shape.h"
#include "runtime/weights/checkpoint.h"
#include "runtime/weights/mapped_tensors.h"
#include "runtime/weights/partition.h"

namespace octet {

struct ModelContext {
  const ModelArgs& args;
  const Partition& partition;
  const Checkpoint& checkpoint;
  Backend& backend;
  int rank = 0;
  int size = 1;
  std::optional<Int8Product> int8_product;  // nullopt: int8 weights are dequantised to fp32
  float outlier_threshold = kOutlierThreshold;
  int max_model_len = 0;  // rows of position tables
  size_t& held_bytes;     // added to: memory that the model's parts take, a file's too
  // Where weights may stay in the artefact's files: receives what is to be checked before a step.
  // Null: everything is read.
  Checks* checks = nullptr;
};

// One weight of a column-parallel product: "q_proj" and the whole weight's rows.
struct ColumnWeight {
  std::string_view name;
  int64_t out_features = 0;
};

class WeightScope {
 public:
  explicit WeightScope(const ModelContext& context, std::string prefix = "")
      : context_(&context), prefix_(std::move(prefix)) {}

  WeightScope operator/(std::string_view name) const;
  WeightScope operator/(int index) const { return *this / std::to_string(index); }

  const ModelContext& context() const { return *context_; }
  bool has(std::string_view name) const;

  // A replicated tensor as fp32 on the device, times `scale`: [extent].
  Tensor vector(std::string_view name, int64_t extent, float scale = 1) const;

  // This rank's elements of a vector as fp32, on the host: [its part of extent].
  Tensor elements(std::string_view name, int64_t extent) const;

  // A table "weight", of which this rank has some rows, as stored, on the device or in a file.
  struct Table {
    Tensor rows;  // [rows of this rank, width]
    int64_t first = 0;
  };
  Table table(int64_t extent, int64_t width) const;

  // One product out of several weights with one input. Their rows are stacked on the host, or
  // stay in a file; biases
  // ("q_proj.bias") are taken where present.
  LinearWeight column_parallel(std::initializer_list<ColumnWeight> weights,
                               int64_t in_features) const;

  // This rank's columns of `name`, with the reduction shards that they are. The bias is not part of
  // it.
  LinearWeight row_parallel(std::string_view name, int64_t out_features, int64_t in_features) const;

  // The shapes of what those read; nothing is read.
  LinearShape column_shape(std::initializer_list<ColumnWeight> weights, int64_t in_features) const;
  LinearShape row_shape(std::string_view name, int64_t out_features, int64_t in_features) const;
  LinearShape table_shape(int64_t extent, int64_t width) const;

 private:
  const TensorInfo& require(const std::string& name, const Shape& shape) const;
  TensorSlice slice(const std::string& name, int64_t extent) const;
  const MappedTensors* mapped() const;  // null: nothing may stay in files
  bool has_blocks(const TensorInfo& info, const TensorSlice& slice,
                  const std::vector<int64_t>& column_cuts) const;
  void read(const std::string& name, const TensorSlice& slice, const Tensor& out) const;  // finite
  void read_scales(const TensorInfo& weight, const TensorSlice& slice, const Tensor& scales) const;
  void read_weight(const TensorInfo& info, const TensorSlice& slice, const Tensor& weight,
                   const Tensor& held_scales) const;    // empty: none are held
  LinearWeight staged(const LinearShape& shape) const;  // with host memory to read into
  // Rows [row, ...) of `to`, or one more run of its blocks.
  void add_rows(const TensorInfo& info, const TensorSlice& slice, int64_t row,
                LinearWeight& to) const;
  DType held_dtype(const TensorInfo& info) const;

  const ModelContext* context_;
  std::string prefix_;  // "" or ends in '.'
};

}  // namespace octet
