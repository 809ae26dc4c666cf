// Mistral (Jiang et al. 2023): LLaMA with a sliding window in every layer.
#include <nlohmann/json.hpp>

#include "runtime/models/family.h"
#include "runtime/weights/config_fields.h"

namespace octet {
namespace {

ModelArgs parse(const nlohmann::json& config, const std::string& source) {
  const ConfigFields fields(config, source);
  ModelArgs args = parse_llama(config, source);
  args.sliding_window = fields.count_or("sliding_window", 0);
  return args;
}

}  // namespace

Family mistral_family() { return {"mistral", parse, llama_modules}; }

}  // namespace octet
