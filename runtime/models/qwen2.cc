// Qwen 2 and 2.5 (Yang et al. 2024): LLaMA with biases on q, k and v; some with a window in the
// layers from max_window_layers on.
#include <nlohmann/json.hpp>

#include "runtime/models/family.h"
#include "runtime/weights/config_fields.h"

namespace octet {
namespace {

ModelArgs parse(const nlohmann::json& config, const std::string& source) {
  const ConfigFields fields(config, source);
  ModelArgs args = parse_llama(config, source);
  args.attention_bias = true;
  if (fields.boolean_or("use_sliding_window", false)) {
    args.sliding_window = fields.count_or("sliding_window", 0);
    args.first_window_layer = fields.count_or("max_window_layers", 0);
  }
  return args;
}

}  // namespace

Family qwen2_family() { return {"qwen2", parse, llama_modules}; }

}  // namespace octet
