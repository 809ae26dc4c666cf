#include "runtime/weights/quantize_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "runtime/formats/printable.h"
#include "runtime/request/error.h"
#include "runtime/weights/head_module.h"

namespace octet {
namespace {

const std::string kEmbedding = std::string(kEmbedTokens) + ".weight";
const std::string kHead = std::string(kLmHead) + ".weight";

[[noreturn]] void fail(const Checkpoint& source, std::string_view tensor, const std::string& what) {
  throw InputError(
      fmt::format("{}: tensor {}: {}", source.path().string(), printable(tensor), what));
}

// Layer by layer, what is outside the layers first.
std::vector<const TensorInfo*> in_model_order(const Checkpoint& source) {
  std::vector<const TensorInfo*> tensors;
  for (const TensorInfo& info : source.tensors()) tensors.push_back(&info);
  std::ranges::stable_sort(tensors, {},
                           [](const TensorInfo* info) { return split_layer(info->name).layer; });
  return tensors;
}

// Int8 weights and their scales pass through; the weight brings its scale along.
bool is_scale_of_int8(const Checkpoint& source, std::string_view name) {
  constexpr std::string_view kSuffix = "_scale";
  if (!name.ends_with(kSuffix)) return false;
  name.remove_suffix(kSuffix.size());
  const TensorInfo* weight = source.find(name);
  return weight != nullptr && weight->dtype == DType::kI8;
}

DType stored_dtype(const TensorInfo& info, const TensorRule& rule, bool int8_head) {
  if (info.dtype == DType::kI8) return DType::kI8;
  if (rule.is_int8(int8_head) && info.shape.rank() == 2) return DType::kI8;
  return info.shape.rank() == 1 || info.stored_as == "F32" ? DType::kF32 : DType::kBF16;
}

// Slices of rows can begin where a block does.
PlannedBlocks plan_blocks(const PlannedTensor& tensor) {
  const Shape& shape = tensor.source->shape;
  const bool of_columns = tensor.axis == 1;
  PlannedBlocks planned{.layout = {tensor.dtype, tensor.dtype == DType::kI8,
                                   of_columns ? tensor.cuts : std::vector<int64_t>{0, shape[1]}},
                        .shape = {},
                        .cuts = {}};
  const int64_t count = WeightBlocks::count(shape[0]);
  const int64_t columns = WeightBlocks::kBlock * planned.layout.padded_columns();
  planned.shape = {count, columns};
  if (of_columns) {
    for (const WeightBlocks::Shard& shard : planned.layout.shards()) {
      planned.cuts.push_back(WeightBlocks::kBlock * shard.place);
    }
  } else {
    for (const int64_t cut : tensor.cuts) {
      const bool whole = cut % WeightBlocks::kBlock == 0 && cut < shape[0];
      if (whole) planned.cuts.push_back(cut / WeightBlocks::kBlock);
    }
  }
  planned.cuts.push_back(of_columns ? columns : count);
  return planned;
}

// `other_name`: see PlannedTensor.
PlannedTensor plan_tensor(const Checkpoint& source, const Partition& partition,
                          const TensorInfo& info, const std::string& other_name, bool int8_head) {
  const TensorRule* rule = partition.find(other_name.empty() ? info.name : other_name);
  if (rule == nullptr) fail(source, info.name, "the model family has no such tensor");
  const bool int8 = info.dtype == DType::kI8 && rule->may_be_int8();
  if (!int8 && info.dtype != DType::kF32 && info.dtype != DType::kF16 &&
      info.dtype != DType::kBF16) {
    fail(source, info.name, fmt::format("dtype {} is not a float type", dtype_name(info.dtype)));
  }
  const int rank = info.shape.rank(), axis = partition.axis(rule->role);
  if (rank < 1 || rank > 2 || info.shape.numel() == 0) {
    fail(source, info.name,
         fmt::format("shape {} is not a matrix's or a vector's", info.shape.to_string()));
  }
  const int64_t extent = partition.extent(rule->role);
  if (axis >= rank || (rule->role != Role::kReplicated && info.shape[axis] != extent)) {
    fail(source, info.name,
         fmt::format("shape {}: the config gives dimension {} as {}", info.shape.to_string(), axis,
                     extent));
  }
  PlannedTensor planned{.source = &info,
                        .other_name = other_name,
                        .dtype = stored_dtype(info, *rule, int8_head),
                        .axis = axis,
                        .cuts = {},
                        .scale_cuts = {}};
  planned.cuts = partition.cuts(rule->role, info.shape[axis]);
  if (planned.dtype == DType::kI8) {
    const Role role = axis == 0 ? rule->role : Role::kReplicated;
    planned.scale_cuts = partition.cuts(role, info.shape[0]);
  }
  return planned;
}

uint64_t bytes_of(const SafetensorsSpec& spec) {
  return static_cast<uint64_t>(spec.shape.numel()) * dtype_size(spec.dtype);
}

// A file is closed where the next tensor would make it larger than max_shard_bytes.
void add(ArtefactPlan& plan, PlannedTensor tensor, bool with_blocks, int64_t max_shard_bytes) {
  const Shape& shape = tensor.source->shape;
  std::vector<SafetensorsSpec> specs = {{tensor.name(), tensor.dtype, shape}};
  if (tensor.dtype == DType::kI8) {
    specs.push_back({tensor.scale_name(), DType::kF32, Shape{shape[0]}});
  }
  uint64_t bytes = 0;
  for (const SafetensorsSpec& spec : specs) bytes += bytes_of(spec);
  if (plan.files.empty() ||
      plan.files.back().bytes + bytes > static_cast<uint64_t>(max_shard_bytes)) {
    plan.files.emplace_back();
  }
  plan.bytes_out += bytes;
  plan.bytes_in += tensor.bytes_in();
  PlannedFile& file = plan.files.back();
  file.bytes += bytes;
  if (with_blocks) {
    tensor.blocks = plan_blocks(tensor);
    const DType dtype = tensor.dtype == DType::kI8 ? DType::kU8 : tensor.dtype;
    file.blocks.push_back({tensor.blocks_name(), dtype, tensor.blocks->shape});
    plan.bytes_of_blocks += bytes_of(file.blocks.back());
  }
  file.tensors.push_back(std::move(tensor));
  file.specs.insert(file.specs.end(), specs.begin(), specs.end());
}

}  // namespace

ArtefactPlan plan_artefact(const Checkpoint& source, const Partition& partition,
                           const QuantizeOptions& options) {
  const std::string name = source.path().string();
  if (source.kind() == CheckpointKind::kArtefact) {
    throw InputError(name + ": an artefact already");
  }

  ArtefactPlan plan;
  const bool tied = partition.args().tie_word_embeddings, made = tied && options.int8_head;
  const std::string& head = tied && !made ? kEmbedding : kHead;
  const auto add_tensor = [&](const TensorInfo& info, const std::string& other_name) {
    PlannedTensor tensor = plan_tensor(source, partition, info, other_name, options.int8_head);
    const bool of_product = tensor.dtype == DType::kI8 || tensor.name() == head;
    add(plan, std::move(tensor), options.blocks && of_product, options.max_shard_bytes);
  };
  for (const TensorInfo* info : in_model_order(source)) {
    if (tied && info->name.starts_with("lm_head.")) continue;
    if (is_scale_of_int8(source, info->name)) continue;
    add_tensor(*info, "");
    if (made && info->name == kEmbedding) add_tensor(*info, kHead);
  }
  for (size_t i = 0; i < plan.files.size(); ++i) {
    PlannedFile& file = plan.files[i];
    const std::string part = fmt::format("{:05}-of-{:05}.safetensors", i + 1, plan.files.size());
    file.name = "model-" + part;
    if (!file.blocks.empty()) file.blocks_name = "blocks-" + part;
  }
  return plan;
}

}  // namespace octet
