#include "runtime/models/open_model.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "runtime/formats/json_text.h"
#include "runtime/models/decoder.h"
#include "runtime/models/presets.h"
#include "runtime/models/registry.h"
#include "runtime/request/error.h"
#include "runtime/weights/check_modules.h"
#include "runtime/weights/config_fields.h"
#include "runtime/weights/dummy_checkpoint.h"
#include "runtime/weights/gguf_architectures.h"
#include "runtime/weights/renamed_checkpoint.h"

namespace octet {
namespace {

const Family& family_of(const nlohmann::json& config, const std::string& source) {
  const ConfigFields fields(config, source);
  const std::string model_type = fields.string_or("model_type", "");
  if (model_type.empty()) fields.fail("model_type", "is missing");
  return find_family(model_type, source);
}

// The MLP that the layers would build is the one that the family's tensors are for.
void check_activation(const ModelSource& source, const ModelArgs& args,
                      const std::vector<ModuleName>& modules) {
  const bool gated =
      std::ranges::find(modules, "mlp.gate_proj", &ModuleName::name) != modules.end();
  if (gated == (args.activation == Activation::kSiluGate)) return;
  throw InputError(fmt::format("{}: a {} has {}; the activation in its config is another",
                               source.path.string(), args.model_type,
                               gated ? "a gate and silu" : "no gate"));
}

// The depth asked for. The checkpoint may have more.
void cut_layers(const ModelSource& source, ModelArgs& args) {
  if (source.num_hidden_layers == 0) return;
  if (source.num_hidden_layers < 0 || source.num_hidden_layers > args.num_hidden_layers) {
    throw InputError(fmt::format("--num-hidden-layers is {}, {} has {}", source.num_hidden_layers,
                                 source.path.string(), args.num_hidden_layers));
  }
  args.num_hidden_layers = source.num_hidden_layers;
}

nlohmann::json dummy_config(const std::filesystem::path& path) {
  if (auto config = preset_config(path.string())) return *config;
  if (std::filesystem::is_directory(path)) return read_json_file(path / "config.json");
  throw InputError(fmt::format("{}: neither a folder with config.json nor a preset; presets: {}",
                               path.string(), fmt::join(preset_names(), ", ")),
                   ErrorCode::kNotFound);
}

ModelFiles open_dummy(const ModelSource& source) {
  nlohmann::json config = dummy_config(source.path);
  const Family& family = family_of(config, source.path.string());
  ModelArgs args = family.parse(config, source.path.string());
  check_activation(source, args, family.modules(args));
  cut_layers(source, args);
  for (const char* key : {"num_hidden_layers", "n_layer"}) {
    if (config.contains(key)) config[key] = args.num_hidden_layers;
  }
  return {std::make_unique<DummyCheckpoint>(source.path, std::move(config), args,
                                            family.modules(args), source.int8_head),
          args};
}

}  // namespace

ModelFiles open_model(const ModelSource& source) {
  if (source.dummy) return open_dummy(source);
  if (source.int8_head) {
    throw InputError(
        fmt::format("{}: --head int8 is only for dummy weights; octet quantize --head int8 makes "
                    "an artefact that has one",
                    source.path.string()));
  }
  require_files(source.path);
  std::unique_ptr<Checkpoint> checkpoint = Checkpoint::open(source.path);
  const Family& family = family_of(checkpoint->config(), source.path.string());
  ModelArgs args = family.parse(checkpoint->config(), source.path.string());
  const std::vector<ModuleName> modules = family.modules(args);
  if (checkpoint->kind() == CheckpointKind::kFolder) {
    checkpoint = std::make_unique<RenamedCheckpoint>(std::move(checkpoint), args, modules);
  } else if (checkpoint->kind() == CheckpointKind::kGguf) {
    checkpoint =
        std::make_unique<RenamedCheckpoint>(std::move(checkpoint), args, gguf_modules(args));
  }
  check_activation(source, args, modules);
  check_modules(*checkpoint, args, modules);
  cut_layers(source, args);
  return {std::move(checkpoint), args};
}

bool ModelFiles::has_int8() const {
  return std::ranges::find(checkpoint->tensors(), DType::kI8, &TensorInfo::dtype) !=
         checkpoint->tensors().end();
}

std::unique_ptr<CausalLM> make_model(const ModelContext& context) {
  return std::make_unique<Decoder>(context);
}

}  // namespace octet
