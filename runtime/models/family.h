// Family: what one model architecture is, as data: how its config.json is read and what its
// published tensors are called. One file a family; a row in registry.cc makes it known.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/weights/model_args.h"
#include "runtime/weights/module_names.h"

namespace octet {

struct Family {
  std::string_view model_type;  // config.json's

  // Throws InputError naming `source` (a file), the field and the value: also for every option that
  // would give other numbers than those computed here.
  ModelArgs (*parse)(const nlohmann::json& config, const std::string& source);

  // All tensors of such a model.
  std::vector<ModuleName> (*modules)(const ModelArgs& args);
};

// In alphabetical order.
Family bloom_family();
Family falcon_family();
Family gpt2_family();
Family gpt_neox_family();
Family gptj_family();
Family llama_family();
Family mistral_family();
Family opt_family();
Family palm_family();
Family phi_family();
Family qwen2_family();
Family qwen3_family();
Family stablelm_family();

// Qwen's sliding window: sliding_window in the layers from max_window_layers on, where
// use_sliding_window says so. A layer_types that says otherwise is refused.
void parse_window(const nlohmann::json& config, const std::string& source, ModelArgs& args);

// LLaMA's own parse and modules, for the families that differ in a field or two.
ModelArgs parse_llama(const nlohmann::json& config, const std::string& source);
std::vector<ModuleName> llama_modules(const ModelArgs& args);

}  // namespace octet
