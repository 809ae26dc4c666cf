#include "runtime/layers/weight_scope.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "kernels/check.h"
#include "runtime/request/error.h"
#include "runtime/weights/finite.h"

namespace octet {

WeightScope WeightScope::operator/(std::string_view name) const {
  return WeightScope(*context_, fmt::format("{}{}.", prefix_, name));
}

bool WeightScope::has(std::string_view name) const {
  return context_->checkpoint.find(prefix_ + std::string(name)) != nullptr;
}

const TensorInfo& WeightScope::require(const std::string& name, const Shape& shape) const {
  const TensorInfo* info = context_->checkpoint.find(name);
  const std::string file = context_->checkpoint.path().string();
  if (info == nullptr) throw InputError(fmt::format("{}: tensor {} is missing", file, name));
  if (!(info->shape == shape)) {
    throw InputError(fmt::format("{}: tensor {} has shape {}, the config asks for {}", file, name,
                                 info->shape.to_string(), shape.to_string()));
  }
  if (info->dtype == DType::kI32 || info->dtype == DType::kI64 || info->dtype == DType::kU8) {
    throw InputError(fmt::format("{}: tensor {} has dtype {}, not a weight's", file, name,
                                 dtype_name(info->dtype)));
  }
  return *info;
}

TensorSlice WeightScope::slice(const std::string& name, int64_t extent) const {
  const TensorRule* rule = context_->partition.find(name);
  OCTET_CHECK(rule != nullptr, "the family has no rule for {}", name);
  return context_->partition.slice(rule->role, extent, context_->rank, context_->size);
}

void WeightScope::read(const std::string& name, const TensorSlice& slice, const Tensor& out) const {
  context_->checkpoint.read(name, slice, out);
  require_finite(context_->checkpoint, name, slice, out);
}

Tensor WeightScope::elements(std::string_view name, int64_t extent) const {
  const TensorInfo& info = require(prefix_ + std::string(name), Shape{extent});
  const TensorSlice own = slice(info.name, extent);
  const Tensor stored = Tensor::host(info.dtype, {own.end - own.begin});
  read(info.name, own, stored);
  const Tensor values = Tensor::host(DType::kF32, stored.shape());
  for (int64_t i = 0; i < stored.numel(); ++i) values.data<float>()[i] = element(stored, i);
  return values;
}

Tensor WeightScope::vector(std::string_view name, int64_t extent, float scale) const {
  const Tensor values = elements(name, extent);
  for (float& value : values.span<float>()) value *= scale;
  const Tensor device = context_->backend.allocate(DType::kF32, values.shape());
  context_->backend.upload(values, device);
  context_->held_bytes += context_->backend.allocated_bytes(device.bytes());
  return device;
}

const MappedTensors* WeightScope::mapped() const {
  const bool may = context_->checks != nullptr && context_->backend.maps_files();
  return may ? context_->checkpoint.mapped() : nullptr;
}

LinearShape WeightScope::table_shape(int64_t extent, int64_t width) const {
  const TensorInfo& info = require(prefix_ + "weight", Shape{extent, width});
  const TensorSlice own = slice(info.name, extent);
  return {.dtype = info.dtype,
          .rows = own.end - own.begin,
          .columns = width,
          .in_file = mapped() != nullptr && mapped()->has_rows(info.name, own)};
}

WeightScope::Table WeightScope::table(int64_t extent, int64_t width) const {
  const LinearShape shape = table_shape(extent, width);
  const TensorInfo& info = *context_->checkpoint.find(prefix_ + "weight");
  const TensorSlice own = slice(info.name, extent);
  if (shape.in_file) {
    const Tensor rows = mapped()->rows(info.name, own, *context_->checks);
    context_->held_bytes += rows.bytes();
    return {rows, own.begin};
  }
  const Tensor stored = Tensor::host(info.dtype, {shape.rows, width});
  read(info.name, own, stored);
  const Tensor rows = context_->backend.allocate(stored.dtype(), stored.shape());
  context_->backend.upload(stored, rows);
  context_->held_bytes += context_->backend.allocated_bytes(rows.bytes());
  return {rows, own.begin};
}

LinearWeight WeightScope::staged(const LinearShape& shape) const {
  LinearWeight weight{.weight = {},
                      .blocked = {},
                      .scales = {},
                      .bias = {},
                      .product = shape.product,
                      .outlier_threshold = context_->outlier_threshold,
                      .num_shards = shape.num_shards,
                      .shards = shape.shards,
                      .cuts = shape.cuts};
  if (shape.in_file) {
    weight.blocked = {.dtype = shape.dtype, .columns = shape.columns, .runs = {}};
  } else {
    weight.weight = Tensor::host(shape.dtype, {shape.rows, shape.columns});
  }
  if (shape.has_scales()) weight.scales = Tensor::host(DType::kF32, {shape.rows});
  if (shape.biased) weight.bias = Tensor::host(DType::kF32, {shape.rows});
  return weight;
}

DType WeightScope::held_dtype(const TensorInfo& info) const {
  return info.dtype == DType::kI8 && !context_->int8_product ? DType::kF32 : info.dtype;
}

// Weights in blocks are laid out for integer products, or were never int8.
bool WeightScope::has_blocks(const TensorInfo& info, const TensorSlice& slice,
                             const std::vector<int64_t>& column_cuts) const {
  if (mapped() == nullptr) return false;
  const auto product = context_->int8_product;
  if (info.dtype == DType::kI8 && (!product || *product == Int8Product::kW8A16)) return false;
  return mapped()->has_blocks(info.name, slice, column_cuts);
}

void WeightScope::read_scales(const TensorInfo& weight, const TensorSlice& slice,
                              const Tensor& scales) const {
  const TensorInfo& scale = require(weight.name + "_scale", Shape{weight.shape[0]});
  if (scale.dtype != DType::kF32) {
    throw InputError(fmt::format("{}: tensor {} has dtype {}, must be F32",
                                 context_->checkpoint.path().string(), scale.name,
                                 dtype_name(scale.dtype)));
  }
  read(scale.name, slice.axis == 0 ? slice : this->slice(scale.name, weight.shape[0]), scales);
}

void WeightScope::read_weight(const TensorInfo& info, const TensorSlice& slice,
                              const Tensor& weight, const Tensor& held_scales) const {
  const Checkpoint& checkpoint = context_->checkpoint;
  if (info.dtype != DType::kI8) {
    read(info.name, slice, weight);
    return;
  }
  const Tensor scales =
      held_scales.empty() ? Tensor::host(DType::kF32, {weight.dim(0)}) : held_scales;
  read_scales(info, slice, scales);
  if (weight.dtype() == DType::kI8) {
    checkpoint.read(info.name, slice, weight);
    return;
  }
  const Tensor stored = Tensor::host(DType::kI8, weight.shape());
  checkpoint.read(info.name, slice, stored);
  const int64_t in = weight.dim(1);
  for (int64_t i = 0; i < weight.numel(); ++i) {
    weight.data<float>()[i] = stored.data<int8_t>()[i] * scales.data<float>()[i / in];
  }
}

void WeightScope::add_rows(const TensorInfo& info, const TensorSlice& slice, int64_t row,
                           LinearWeight& to) const {
  const int64_t rows = slice.axis == 0 ? slice.end - slice.begin : info.shape[0];
  const Tensor scales = to.scales.empty() ? Tensor() : to.scales.rows(row, row + rows);
  if (to.weight.empty()) {
    to.blocked.runs.push_back(mapped()->blocks(info.name, slice, *context_->checks));
    if (!scales.empty()) read_scales(info, slice, scales);
  } else {
    read_weight(info, slice, to.weight.rows(row, row + rows), scales);
  }
}

LinearShape WeightScope::column_shape(std::initializer_list<ColumnWeight> weights,
                                      int64_t in_features) const {
  const TensorInfo* first = nullptr;
  LinearShape shape{.columns = in_features,
                    .product = context_->int8_product.value_or(Int8Product::kW8A8),
                    .in_file = true};
  for (const ColumnWeight& weight : weights) {
    const std::string name = fmt::format("{}{}.weight", prefix_, weight.name);
    const TensorInfo& info = require(name, Shape{weight.out_features, in_features});
    if (first != nullptr && info.dtype != first->dtype) {
      throw InputError(fmt::format("{}: tensor {} has dtype {}, but {} has {}",
                                   context_->checkpoint.path().string(), name,
                                   dtype_name(info.dtype), first->name, dtype_name(first->dtype)));
    }
    if (first == nullptr) first = &info;
    const TensorSlice own = slice(name, weight.out_features);
    // Where the weight before ended, this one's blocks begin.
    shape.in_file = shape.in_file && shape.rows % WeightBlocks::kBlock == 0 &&
                    has_blocks(info, own, {0, in_features});
    shape.rows += own.end - own.begin;
    shape.biased = shape.biased || has(fmt::format("{}.bias", weight.name));
  }
  shape.dtype = held_dtype(*first);
  return shape;
}

LinearWeight WeightScope::column_parallel(std::initializer_list<ColumnWeight> weights,
                                          int64_t in_features) const {
  LinearWeight stacked = staged(column_shape(weights, in_features));
  int64_t row = 0;
  for (const ColumnWeight& weight : weights) {
    const std::string name = fmt::format("{}{}.weight", prefix_, weight.name);
    const TensorSlice own = slice(name, weight.out_features);
    add_rows(*context_->checkpoint.find(name), own, row, stacked);
    const std::string bias = fmt::format("{}.bias", weight.name);
    if (has(bias)) {
      const Tensor values = elements(bias, weight.out_features);
      std::ranges::copy(values.span<const float>(), stacked.bias.data<float>() + row);
    }
    row += own.end - own.begin;
  }
  return stacked;
}

LinearShape WeightScope::row_shape(std::string_view name, int64_t out_features,
                                   int64_t in_features) const {
  const std::string full = fmt::format("{}{}.weight", prefix_, name);
  const TensorInfo& info = require(full, Shape{out_features, in_features});
  const TensorSlice taken = slice(full, in_features);
  const Role role = context_->partition.find(full)->role;
  const std::vector<int64_t> cuts = context_->partition.cuts(role, in_features);
  LinearShape shape{.dtype = held_dtype(info),
                    .rows = out_features,
                    .columns = taken.end - taken.begin,
                    .product = context_->int8_product.value_or(Int8Product::kW8A8),
                    .num_shards = static_cast<int>(cuts.size()) - 1,
                    .shards = {taken.part_begin, taken.part_end},
                    .in_file = has_blocks(info, taken, cuts)};
  for (int i = taken.part_begin; i <= taken.part_end; ++i) {
    shape.cuts.push_back(cuts[i] - taken.begin);
  }
  return shape;
}

LinearWeight WeightScope::row_parallel(std::string_view name, int64_t out_features,
                                       int64_t in_features) const {
  const std::string full = fmt::format("{}{}.weight", prefix_, name);
  LinearWeight columns = staged(row_shape(name, out_features, in_features));
  add_rows(*context_->checkpoint.find(full), slice(full, in_features), 0, columns);
  return columns;
}

}  // namespace octet
