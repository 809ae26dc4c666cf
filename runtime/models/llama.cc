// The LLaMA architecture (Touvron et al. 2023): RMSNorm, rotary positions, grouped-query attention,
// SwiGLU, optionally a head tied to the embedding. Llama 3 stretches the rotation.
#include <nlohmann/json.hpp>

#include "runtime/models/family.h"
#include "runtime/weights/config_fields.h"

namespace octet {

ModelArgs parse_llama(const nlohmann::json& config, const std::string& source) {
  const ConfigFields fields(config, source);
  ModelArgs args = parse_model_args(config, source,
                                    {.norm_eps = "rms_norm_eps",
                                     .default_norm_eps = 1e-6,
                                     .default_activation = "silu",
                                     .tie_word_embeddings = false});
  args.norm = NormKind::kRms;
  args.attention_bias = fields.boolean_or("attention_bias", false);
  args.mlp_bias = fields.boolean_or("mlp_bias", false);
  args.rope_interleaved = fields.boolean_or("rope_interleaved", false);  // llama2.c's pairs
  parse_rope(config, source, args.head_dim, args);
  return args;
}

std::vector<ModuleName> llama_modules(const ModelArgs& args) {
  constexpr Layout kPlain = Layout::kPlain;
  const Bias attention = args.attention_bias ? Bias::kRequired : Bias::kNone;
  const Bias output = args.attention_bias ? Bias::kOptional : Bias::kNone;
  const Bias mlp = args.mlp_bias ? Bias::kRequired : Bias::kNone;
  return {
      {"model.embed_tokens", "model.embed_tokens"},
      {"model.layers.*.input_layernorm", "input_layernorm"},
      {"model.layers.*.self_attn.q_proj", "self_attn.q_proj", kPlain, attention},
      {"model.layers.*.self_attn.k_proj", "self_attn.k_proj", kPlain, attention},
      {"model.layers.*.self_attn.v_proj", "self_attn.v_proj", kPlain, attention},
      {"model.layers.*.self_attn.o_proj", "self_attn.o_proj", kPlain, output},
      {"model.layers.*.post_attention_layernorm", "post_attention_layernorm"},
      {"model.layers.*.mlp.gate_proj", "mlp.gate_proj", kPlain, mlp},
      {"model.layers.*.mlp.up_proj", "mlp.up_proj", kPlain, mlp},
      {"model.layers.*.mlp.down_proj", "mlp.down_proj", kPlain, mlp},
      {"model.norm", "model.norm"},
      {"lm_head", "lm_head"},
  };
}

Family llama_family() { return {"llama", parse_llama, llama_modules}; }

}  // namespace octet
