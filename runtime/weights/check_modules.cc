#include "runtime/weights/check_modules.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "runtime/formats/printable.h"
#include "runtime/request/error.h"
#include "runtime/weights/slice_io.h"

namespace octet {
namespace {

[[noreturn]] void fail(const Checkpoint& source, std::string_view tensor, const std::string& what) {
  throw InputError(
      fmt::format("{}: tensor {}: {}", source.path().string(), printable(tensor), what));
}

bool in_layer(const ModuleName& module) {
  return module.published.find('*') != std::string_view::npos;
}

void check_known(const Checkpoint& source, const ModelArgs& args,
                 std::span<const ModuleName> modules, const TensorInfo& info) {
  const auto [layer, name] = split_layer(info.name);
  const auto is_of = [&](const ModuleName& module) {
    if (in_layer(module) != (layer >= 0) || !name.starts_with(module.name)) return false;
    const std::string_view suffix = name.substr(module.name.size());
    return suffix == ".weight" || suffix == ".weight_scale" ||
           (suffix == ".bias" && module.bias != Bias::kNone);
  };
  if (std::ranges::none_of(modules, is_of)) {
    fail(source, info.name, "the model family has no such tensor");
  }
  const bool may_be_int8 = layer >= 0 || info.name == "lm_head.weight";
  if (info.dtype == DType::kI8 && (!may_be_int8 || info.shape.rank() != 2)) {
    fail(source, info.name, "is int8; only matrices of the layers and the head may be");
  }
  if (layer >= args.num_hidden_layers) {
    fail(source, info.name, fmt::format("the model has {} layers", args.num_hidden_layers));
  }
}

// A tied head that is stored too is not read, so it must be what is read in its place; an
// artefact's int8 one is read (head_module).
void check_tied_head(const Checkpoint& checkpoint) {
  const TensorInfo* head = checkpoint.find("lm_head.weight");
  const TensorInfo* table = checkpoint.find("model.embed_tokens.weight");
  if (head == nullptr || table == nullptr || table->shape.rank() != 2)
    return;  // refused where they are read
  const auto differs = [&] {
    fail(checkpoint, head->name, "differs from the embedding, and tie_word_embeddings is true");
  };
  if (head->shape != table->shape) differs();
  if (checkpoint.kind() == CheckpointKind::kArtefact && head->dtype == DType::kI8) return;
  if (head->dtype != table->dtype) differs();
  constexpr int64_t kRows = 1024;
  for (int64_t row = 0; row < head->shape[0]; row += kRows) {
    const TensorSlice slice{.axis = 0, .begin = row, .end = std::min(row + kRows, head->shape[0])};
    const auto read = [&](const TensorInfo* info) {
      const Tensor rows = Tensor::host(info->dtype, slice_shape(info->shape, slice));
      checkpoint.read(info->name, slice, rows);
      return rows;
    };
    const Tensor a = read(head), b = read(table);
    if (std::memcmp(a.raw_data(), b.raw_data(), a.bytes()) != 0) differs();
  }
}

}  // namespace

void check_modules(const Checkpoint& checkpoint, const ModelArgs& args,
                   std::span<const ModuleName> modules) {
  for (const TensorInfo& info : checkpoint.tensors()) check_known(checkpoint, args, modules, info);
  if (args.tie_word_embeddings) check_tied_head(checkpoint);
  for (const ModuleName& module : modules) {
    if (module.name == "lm_head" && args.tie_word_embeddings) continue;
    const int layers = in_layer(module) ? args.num_hidden_layers : 1;
    const auto name_in = [&](int i, const char* suffix) {
      return full_name(module.name, in_layer(module) ? i : -1) + suffix;
    };
    const bool biased = module.bias == Bias::kRequired ||
                        (module.bias == Bias::kOptional && checkpoint.find(name_in(0, ".bias")));
    for (int i = 0; i < layers; ++i) {
      for (const char* suffix : {".weight", ".bias"}) {
        if (suffix == std::string_view(".bias") && !biased) continue;
        const std::string name = name_in(i, suffix);
        if (checkpoint.find(name) == nullptr) fail(checkpoint, name, "is missing");
      }
    }
  }
}

}  // namespace octet
