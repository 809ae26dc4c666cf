// Qwen 3 (Yang et al. 2025): LLaMA with a norm on each head of q and k.
#include <nlohmann/json.hpp>

#include "runtime/models/family.h"
#include "runtime/weights/config_fields.h"

namespace octet {
namespace {

ModelArgs parse(const nlohmann::json& config, const std::string& source) {
  const ConfigFields fields(config, source);
  ModelArgs args = parse_llama(config, source);
  if (fields.boolean_or("use_sliding_window", false)) {
    args.sliding_window = fields.count_or("sliding_window", 0);
    args.first_window_layer = fields.count_or("max_window_layers", 0);
  }
  return args;
}

std::vector<ModuleName> modules(const ModelArgs& args) {
  std::vector<ModuleName> modules = llama_modules(args);
  modules.push_back({"model.layers.*.self_attn.q_norm", "self_attn.q_norm"});
  modules.push_back({"model.layers.*.self_attn.k_norm", "self_attn.k_norm"});
  return modules;
}

}  // namespace

Family qwen3_family() { return {"qwen3", parse, modules}; }

}  // namespace octet
