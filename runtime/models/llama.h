// The LLaMA family; see llama.cc.
#pragma once

#include <memory>
#include <span>

#include "runtime/layers/weight_scope.h"
#include "runtime/models/causal_lm.h"

namespace octet {

std::span<const TensorRule> llama_rules();
std::unique_ptr<CausalLM> make_llama(const ModelContext& context);

}  // namespace octet
