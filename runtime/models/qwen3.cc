// Qwen 3 (Yang et al. 2025): LLaMA with a norm on each head of q and k.
#include <nlohmann/json.hpp>

#include "runtime/models/family.h"

namespace octet {
namespace {

ModelArgs parse(const nlohmann::json& config, const std::string& source) {
  ModelArgs args = parse_llama(config, source);
  parse_window(config, source, args);
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
