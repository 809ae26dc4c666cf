#include "runtime/weights/quantize_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "runtime/formats/printable.h"
#include "runtime/request/error.h"

namespace octet {
namespace {

[[noreturn]] void fail(const Checkpoint& source, std::string_view tensor, const std::string& what) {
  throw InputError(
      fmt::format("{}: tensor {}: {}", source.path().string(), printable(tensor), what));
}

// Values that older files carry along and that the config also gives.
bool is_derived(std::string_view name) { return name.ends_with(".rotary_emb.inv_freq"); }

// Layer by layer, what is outside the layers first.
std::vector<const TensorInfo*> in_model_order(const Checkpoint& source) {
  std::vector<const TensorInfo*> tensors;
  for (const TensorInfo& info : source.tensors()) tensors.push_back(&info);
  std::ranges::stable_sort(tensors, {},
                           [](const TensorInfo* info) { return split_layer(info->name).layer; });
  return tensors;
}

// The family knows every tensor, a layer has what the other layers have, and no layer is missing.
void check_names(const Checkpoint& source, const Partition& partition, const ModelArgs& args) {
  std::map<std::string_view, std::set<int>> layers;  // of each name
  for (const TensorInfo& info : source.tensors()) {
    const auto [layer, name] = split_layer(info.name);
    if (is_derived(name)) continue;
    if (partition.find(info.name) == nullptr) {
      fail(source, info.name, "the model family has no such tensor");
    }
    if (layer >= args.num_hidden_layers) {
      fail(source, info.name, fmt::format("the model has {} layers", args.num_hidden_layers));
    }
    if (layer >= 0) layers[name].insert(layer);
  }
  for (const auto& [name, having] : layers) {
    for (int layer = 0; layer < args.num_hidden_layers; ++layer) {
      if (!having.contains(layer)) {
        fail(source, fmt::format("model.layers.{}.{}", layer, name), "is missing");
      }
    }
  }
}

// Every weight that the family knows is there, in one layer at least.
void check_complete(const Checkpoint& source, const Partition& partition, const ModelArgs& args) {
  std::set<std::string_view> present;
  for (const TensorInfo& info : source.tensors()) present.insert(split_layer(info.name).name);
  for (const TensorRule& rule : partition.rules()) {
    const bool optional = !rule.name.ends_with(".weight") ||
                          (rule.name == "lm_head.weight" && args.tie_word_embeddings);
    if (!optional && !present.contains(rule.name)) fail(source, rule.name, "is missing");
  }
}

DType stored_dtype(const TensorInfo& info, const TensorRule& rule) {
  if (rule.quantize && info.shape.rank() == 2) return DType::kI8;
  return info.shape.rank() == 1 || info.stored_as == "F32" ? DType::kF32 : DType::kBF16;
}

PlannedTensor plan_tensor(const Checkpoint& source, const Partition& partition,
                          const TensorInfo& info) {
  const TensorRule* rule = partition.find(info.name);
  if (info.dtype != DType::kF32 && info.dtype != DType::kF16 && info.dtype != DType::kBF16) {
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
                           int64_t max_shard_bytes) {
  const std::string name = source.path().string();
  if (source.kind() == CheckpointKind::kArtefact) {
    throw InputError(name + ": an artefact already");
  }
  if (source.config().contains("quantization_config")) {
    throw InputError(name + ": config.json: quantization_config: quantised weights are not read");
  }
  const ModelArgs args = parse_model_args(source.config(), name);
  check_names(source, partition, args);
  check_complete(source, partition, args);

  ArtefactPlan plan;
  uint64_t file_bytes = 0;
  for (const TensorInfo* info : in_model_order(source)) {
    if (is_derived(info->name) || (info->name == "lm_head.weight" && args.tie_word_embeddings)) {
      continue;
    }
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
    file.tensors.push_back(std::move(planned));
    file.specs.insert(file.specs.end(), specs.begin(), specs.end());
  }
  for (size_t i = 0; i < plan.files.size(); ++i) {
    plan.files[i].name = fmt::format("model-{:05}-of-{:05}.safetensors", i + 1, plan.files.size());
  }
  return plan;
}

}  // namespace octet
