#include "runtime/models/open_model.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "runtime/models/decoder.h"
#include "runtime/models/registry.h"
#include "runtime/weights/check_modules.h"
#include "runtime/weights/config_fields.h"
#include "runtime/weights/renamed_checkpoint.h"

namespace octet {

ModelFiles open_model(const std::filesystem::path& path) {
  std::unique_ptr<Checkpoint> checkpoint = Checkpoint::open(path);
  const ConfigFields fields(checkpoint->config(), path.string());
  const std::string model_type = fields.string_or("model_type", "");
  if (model_type.empty()) fields.fail("model_type", "is missing");
  const Family& family = find_family(model_type);
  const ModelArgs args = family.parse(checkpoint->config(), path.string());
  const std::vector<ModuleName> modules = family.modules(args);
  if (checkpoint->kind() == CheckpointKind::kSafetensors) {
    checkpoint = std::make_unique<RenamedCheckpoint>(std::move(checkpoint), args, modules);
  }
  check_modules(*checkpoint, args, modules);
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
