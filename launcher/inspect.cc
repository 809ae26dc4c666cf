// octet inspect: what a checkpoint holds, whatever its kind; --verify reads all of it.
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include "launcher/verbs.h"
#include "runtime/formats/printable.h"
#include "runtime/models/open_model.h"
#include "runtime/weights/head_module.h"
#include "runtime/weights/mapped_tensors.h"

namespace octet {
namespace {

struct InspectFlags {
  std::string path;
  bool verify = false, json = false;
};

const char* kind_name(CheckpointKind kind) {
  switch (kind) {
    case CheckpointKind::kFolder:
      return "Hugging Face folder";
    case CheckpointKind::kGguf:
      return "GGUF file";
    case CheckpointKind::kArtefact:
      return "int8 artefact";
    case CheckpointKind::kDummy:
      return "dummy weights";
  }
  return "";
}

// Layer by layer, what is outside the layers first.
std::vector<const TensorInfo*> in_model_order(const Checkpoint& checkpoint) {
  std::vector<const TensorInfo*> tensors;
  for (const TensorInfo& info : checkpoint.tensors()) tensors.push_back(&info);
  std::ranges::stable_sort(tensors, {},
                           [](const TensorInfo* info) { return split_layer(info->name).layer; });
  return tensors;
}

uint64_t stored_bytes(const Checkpoint& checkpoint) {
  uint64_t bytes = 0;
  for (const TensorInfo& info : checkpoint.tensors()) bytes += info.stored_bytes;
  return bytes;
}

void verify(const Checkpoint& checkpoint) {
  for (const TensorInfo& info : checkpoint.tensors()) {
    const Tensor all = Tensor::host(info.dtype, info.shape);
    checkpoint.read(info.name, {.axis = 0, .begin = 0, .end = all.dim(0)}, all);
    if (checkpoint.mapped() != nullptr) checkpoint.mapped()->check_blocks(info.name, all);
  }
}

nlohmann::json to_json(const Checkpoint& checkpoint) {
  nlohmann::json tensors = nlohmann::json::array();
  for (const TensorInfo* info : in_model_order(checkpoint)) {
    std::vector<int64_t> shape;
    for (int i = 0; i < info->shape.rank(); ++i) shape.push_back(info->shape[i]);
    tensors.push_back({{"name", info->name},
                       {"dtype", info->stored_as},
                       {"shape", shape},
                       {"bytes", info->stored_bytes},
                       {"parts", info->parts}});
  }
  return {{"path", checkpoint.path().string()},
          {"kind", kind_name(checkpoint.kind())},
          {"reduction_shards", checkpoint.reduction_shards()},
          {"config", checkpoint.config()},
          {"bytes", stored_bytes(checkpoint)},
          {"tensors", tensors}};
}

void print_config(const Checkpoint& checkpoint, const ModelArgs& args) {
  fmt::print("{}: {}", checkpoint.path().string(), kind_name(checkpoint.kind()));
  if (checkpoint.reduction_shards() > 0) {
    fmt::print(", {} reduction shards", checkpoint.reduction_shards());
  }
  const bool int8_head = head_module(checkpoint, args) == kLmHead;
  const char* tied = int8_head ? " (tied, an int8 head beside it)" : " (tied)";
  fmt::print(
      "\n{}: {} layers, hidden {}, MLP {}, {} heads of {} on {} KV heads, vocabulary {}{}, {} "
      "positions\n",
      args.model_type, args.num_hidden_layers, args.hidden_size, args.intermediate_size,
      args.num_attention_heads, args.head_dim, args.num_key_value_heads, args.vocab_size,
      args.tie_word_embeddings ? tied : "", args.max_position_embeddings);
}

void print_tensors(const Checkpoint& checkpoint) {
  size_t width = 4;
  uint64_t elements = 0;
  for (const TensorInfo& info : checkpoint.tensors()) {
    width = std::max(width, info.name.size());
    elements += static_cast<uint64_t>(info.shape.numel());
  }
  fmt::print("{:<{}}  {:<5}  {:>16}  {:>13}  {:>5}\n", "name", width, "dtype", "shape", "bytes",
             "parts");
  for (const TensorInfo* info : in_model_order(checkpoint)) {
    fmt::print("{:<{}}  {:<5}  {:>16}  {:>13}  {:>5}\n", escaped(info->name), width,
               info->stored_as, info->shape.to_string(), info->stored_bytes, info->parts);
  }
  fmt::print("{} tensors, {} elements, {:.1f} MB\n", checkpoint.tensors().size(), elements,
             static_cast<double>(stored_bytes(checkpoint)) / 1e6);
}

int run_inspect(const InspectFlags& flags) {
  const auto [checkpoint, args] = open_model({.path = flags.path});
  if (flags.verify) verify(*checkpoint);
  if (flags.json) {
    nlohmann::json all = to_json(*checkpoint);
    if (flags.verify) all["verified"] = true;
    fmt::print("{}\n", all.dump(2));
    return 0;
  }
  print_config(*checkpoint, args);
  print_tensors(*checkpoint);
  if (flags.verify) {
    fmt::print("{}\n", checkpoint->kind() == CheckpointKind::kArtefact
                           ? "every checksum matches"
                           : "every tensor can be read (only an artefact has checksums)");
  }
  return 0;
}

}  // namespace

Verb add_inspect(CLI::App& octet) {
  auto flags = std::make_shared<InspectFlags>();
  CLI::App* command = octet.add_subcommand("inspect", "Show what a checkpoint holds");
  command->add_option("PATH", flags->path, "artefact, Hugging Face folder or GGUF file")
      ->required();
  command->add_flag("--verify", flags->verify, "read every tensor and check every checksum");
  command->add_flag("--json", flags->json, "print JSON");
  return {command, [flags] { return run_inspect(*flags); }};
}

}  // namespace octet
