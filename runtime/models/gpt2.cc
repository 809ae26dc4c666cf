// GPT-2 and GPT-3 (Radford et al. 2019; Brown et al. 2020, section 2.1, its dense layers): learned
// positions, norms before, GELU, the head tied to the embedding. Matrices are stored [in, out].
#include <nlohmann/json.hpp>

#include "runtime/models/family.h"
#include "runtime/weights/config_fields.h"

namespace octet {
namespace {

ModelArgs parse(const nlohmann::json& config, const std::string& source) {
  const ConfigFields fields(config, source);
  fields.require("scale_attn_weights", true);
  fields.require("scale_attn_by_inverse_layer_idx", false);
  fields.require("add_cross_attention", false);
  return parse_model_args(config, source,
                          {.hidden_size = "n_embd",
                           .intermediate_size = "n_inner",
                           .default_mlp_ratio = 4,
                           .num_hidden_layers = "n_layer",
                           .num_attention_heads = "n_head",
                           .max_position_embeddings = "n_positions",
                           .activation = "activation_function",
                           .default_activation = "gelu_new"});
}

std::vector<ModuleName> modules(const ModelArgs&) {
  constexpr Layout kQkv = Layout::kStackedTransposed, kTurned = Layout::kTransposed;
  constexpr Bias kBias = Bias::kRequired;
  return {
      {"transformer.wte", "model.embed_tokens"},
      {"transformer.wpe", "model.embed_positions"},
      {"transformer.h.*.ln_1", "input_layernorm", Layout::kPlain, kBias},
      {"transformer.h.*.attn.c_attn", "self_attn.q_proj", kQkv, kBias},
      {"transformer.h.*.attn.c_attn", "self_attn.k_proj", kQkv, kBias},
      {"transformer.h.*.attn.c_attn", "self_attn.v_proj", kQkv, kBias},
      {"transformer.h.*.attn.c_proj", "self_attn.o_proj", kTurned, kBias},
      {"transformer.h.*.ln_2", "post_attention_layernorm", Layout::kPlain, kBias},
      {"transformer.h.*.mlp.c_fc", "mlp.up_proj", kTurned, kBias},
      {"transformer.h.*.mlp.c_proj", "mlp.down_proj", kTurned, kBias},
      {"transformer.ln_f", "model.norm", Layout::kPlain, kBias},
      {"lm_head", "lm_head"},
  };
}

}  // namespace

Family gpt2_family() { return {"gpt2", parse, modules}; }

}  // namespace octet
