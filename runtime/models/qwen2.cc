// Qwen 2 and 2.5 (Yang et al. 2024): LLaMA with biases on q, k and v; some with a window in the
// layers from max_window_layers on.
#include <nlohmann/json.hpp>

#include "runtime/models/family.h"
#include "runtime/weights/config_fields.h"

namespace octet {
namespace {

ModelArgs parse(const nlohmann::json& config, const std::string& source) {
  ModelArgs args = parse_llama(config, source);
  args.attention_bias = true;
  parse_window(config, source, args);
  return args;
}

}  // namespace

void parse_window(const nlohmann::json& config, const std::string& source, ModelArgs& args) {
  const ConfigFields fields(config, source);
  if (fields.boolean_or("use_sliding_window", false)) {
    args.sliding_window = fields.extent("sliding_window");
    args.first_window_layer = fields.count_or("max_window_layers", 0);
  }
  const nlohmann::json* types = fields.find("layer_types");
  if (types == nullptr) return;
  nlohmann::json expected = nlohmann::json::array();
  for (int i = 0; i < args.num_hidden_layers; ++i) {
    expected.push_back(args.window_of_layer(i) > 0 ? "sliding_attention" : "full_attention");
  }
  if (*types != expected) fields.fail("layer_types", "is not what use_sliding_window gives");
}

Family qwen2_family() { return {"qwen2", parse, llama_modules}; }

}  // namespace octet
