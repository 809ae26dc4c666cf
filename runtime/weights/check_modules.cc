#include "runtime/weights/check_modules.h"

#include <fmt/format.h>

#include <algorithm>

#include "runtime/formats/printable.h"
#include "runtime/request/error.h"

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
  if (info.dtype == DType::kI8 && (layer < 0 || info.shape.rank() != 2)) {
    fail(source, info.name, "is int8; only matrices of the layers may be");
  }
  if (layer >= args.num_hidden_layers) {
    fail(source, info.name, fmt::format("the model has {} layers", args.num_hidden_layers));
  }
}

}  // namespace

void check_modules(const Checkpoint& checkpoint, const ModelArgs& args,
                   std::span<const ModuleName> modules) {
  for (const TensorInfo& info : checkpoint.tensors()) check_known(checkpoint, args, modules, info);
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
