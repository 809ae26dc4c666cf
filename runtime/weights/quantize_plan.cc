#include "runtime/weights/quantize_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "runtime/formats/printable.h"
#include "runtime/request/error.h"

namespace octet {
namespace {

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

DType stored_dtype(const TensorInfo& info, const TensorRule& rule) {
  if (rule.quantize && info.shape.rank() == 2) return DType::kI8;
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

bool is_head(std::string_view name, const ModelArgs& args) {
  return name == (args.tie_word_embeddings ? "model.embed_tokens.weight" : "lm_head.weight");
}

PlannedTensor plan_tensor(const Checkpoint& source, const Partition& partition,
                          const TensorInfo& info) {
  const TensorRule* rule = partition.find(info.name);
  if (rule == nullptr) fail(source, info.name, "the model family has no such tensor");
  const bool int8 = info.dtype == DType::kI8 && rule->quantize;
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
  PlannedTensor planned{.source = &info, .dtype = stored_dtype(info, *rule), .axis = axis};
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

}  // namespace

ArtefactPlan plan_artefact(const Checkpoint& source, const Partition& partition,
                           int64_t max_shard_bytes, bool with_blocks) {
  const std::string name = source.path().string();
  if (source.kind() == CheckpointKind::kArtefact) {
    throw InputError(name + ": an artefact already");
  }

  ArtefactPlan plan;
  uint64_t file_bytes = 0;
  for (const TensorInfo* info : in_model_order(source)) {
    if (info->name.starts_with("lm_head.") && partition.args().tie_word_embeddings) continue;
    if (is_scale_of_int8(source, info->name)) continue;
    PlannedTensor planned = plan_tensor(source, partition, *info);
    std::vector<SafetensorsSpec> specs = {{info->name, planned.dtype, info->shape}};
    if (planned.dtype == DType::kI8) {
      specs.push_back({planned.scale_name(), DType::kF32, Shape{info->shape[0]}});
    }
    uint64_t bytes = 0;
    for (const SafetensorsSpec& spec : specs) bytes += bytes_of(spec);
    if (plan.files.empty() || file_bytes + bytes > static_cast<uint64_t>(max_shard_bytes)) {
      plan.files.emplace_back();
      file_bytes = 0;
    }
    file_bytes += bytes;
    plan.bytes_out += bytes;
    plan.bytes_in += info->stored_bytes;
    PlannedFile& file = plan.files.back();
    if (with_blocks && (planned.dtype == DType::kI8 || is_head(info->name, partition.args()))) {
      planned.blocks = plan_blocks(planned);
      file.blocks.push_back({planned.blocks_name(),
                             planned.dtype == DType::kI8 ? DType::kU8 : planned.dtype,
                             planned.blocks->shape});
      plan.bytes_of_blocks += bytes_of(file.blocks.back());
    }
    file.tensors.push_back(std::move(planned));
    file.specs.insert(file.specs.end(), specs.begin(), specs.end());
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
