// Phi-1.5 and Phi-2 (Li et al. 2023, "Textbooks Are All You Need II"): parallel blocks with one
// LayerNorm, rotary positions on part of a head, a bias on every product, the untied head included.
#include <nlohmann/json.hpp>

#include "runtime/models/family.h"
#include "runtime/weights/config_fields.h"

namespace octet {
namespace {

ModelArgs parse(const nlohmann::json& config, const std::string& source) {
  const ConfigFields fields(config, source);
  fields.require("qk_layernorm", false);  // a LayerNorm of each head of q and k
  ModelArgs args = parse_model_args(config, source,
                                    {.norm_eps = "layer_norm_eps",
                                     .default_activation = "gelu_new",
                                     .tie_word_embeddings = false});
  fields.require("tie_word_embeddings", false);  // its head has a bias
  args.parallel_residual = true;
  args.norms_per_block = 1;
  parse_rope(config, source,
             rotary_dim(config, source, "partial_rotary_factor", 0.5, args.head_dim), args);
  return args;
}

std::vector<ModuleName> modules(const ModelArgs&) {
  constexpr Layout kPlain = Layout::kPlain;
  constexpr Bias kBias = Bias::kRequired;
  return {
      {"model.embed_tokens", "model.embed_tokens"},
      {"model.layers.*.input_layernorm", "input_layernorm", kPlain, kBias},
      {"model.layers.*.self_attn.q_proj", "self_attn.q_proj", kPlain, kBias},
      {"model.layers.*.self_attn.k_proj", "self_attn.k_proj", kPlain, kBias},
      {"model.layers.*.self_attn.v_proj", "self_attn.v_proj", kPlain, kBias},
      {"model.layers.*.self_attn.dense", "self_attn.o_proj", kPlain, kBias},
      {"model.layers.*.mlp.fc1", "mlp.up_proj", kPlain, kBias},
      {"model.layers.*.mlp.fc2", "mlp.down_proj", kPlain, kBias},
      {"model.final_layernorm", "model.norm", kPlain, kBias},
      {"lm_head", "lm_head", kPlain, kBias},
  };
}

}  // namespace

Family phi_family() { return {"phi", parse, modules}; }

}  // namespace octet
