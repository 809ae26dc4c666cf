// GPT-NeoX (Black et al. 2022, section 2): rotary positions on part of a head, parallel blocks with
// a norm for each half (or sequential ones), an untied head.
#include <nlohmann/json.hpp>

#include "runtime/models/family.h"
#include "runtime/weights/config_fields.h"

namespace octet {
namespace {

ModelArgs parse(const nlohmann::json& config, const std::string& source) {
  const ConfigFields fields(config, source);
  ModelArgs args = parse_model_args(config, source,
                                    {.norm_eps = "layer_norm_eps", .tie_word_embeddings = false});
  args.attention_bias = fields.boolean_or("attention_bias", true);
  args.parallel_residual = fields.boolean_or("use_parallel_residual", true);
  args.rope_theta = 10000;
  parse_rope(config, source, rotary_dim(config, source, "rotary_pct", 0.25, args.head_dim), args);
  return args;
}

std::vector<ModuleName> modules(const ModelArgs& args) {
  constexpr Layout kPlain = Layout::kPlain, kQkv = Layout::kGrouped;
  constexpr Bias kBias = Bias::kRequired;
  const Bias attention = args.attention_bias ? Bias::kRequired : Bias::kNone;
  return {
      {"gpt_neox.embed_in", "model.embed_tokens"},
      {"gpt_neox.layers.*.input_layernorm", "input_layernorm", kPlain, kBias},
      {"gpt_neox.layers.*.attention.query_key_value", "self_attn.q_proj", kQkv, attention},
      {"gpt_neox.layers.*.attention.query_key_value", "self_attn.k_proj", kQkv, attention},
      {"gpt_neox.layers.*.attention.query_key_value", "self_attn.v_proj", kQkv, attention},
      {"gpt_neox.layers.*.attention.dense", "self_attn.o_proj", kPlain, attention},
      {"gpt_neox.layers.*.post_attention_layernorm", "post_attention_layernorm", kPlain, kBias},
      {"gpt_neox.layers.*.mlp.dense_h_to_4h", "mlp.up_proj", kPlain, kBias},
      {"gpt_neox.layers.*.mlp.dense_4h_to_h", "mlp.down_proj", kPlain, kBias},
      {"gpt_neox.final_layer_norm", "model.norm", kPlain, kBias},
      {"embed_out", "lm_head"},
  };
}

}  // namespace

Family gpt_neox_family() { return {"gpt_neox", parse, modules}; }

}  // namespace octet
