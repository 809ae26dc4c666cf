// BLOOM (Scao et al. 2022, section 3.2): ALiBi, a norm after the embedding, q, k and v of a head
// beside each other.
#include <nlohmann/json.hpp>

#include "runtime/models/family.h"
#include "runtime/weights/config_fields.h"

namespace octet {
namespace {

ModelArgs parse(const nlohmann::json& config, const std::string& source) {
  const ConfigFields fields(config, source);
  fields.require("apply_residual_connection_post_layernorm", false);
  ModelArgs args =
      parse_model_args(config, source,
                       {.hidden_size = fields.first_of({"hidden_size", "n_embed"}),
                        .intermediate_size = "n_inner",
                        .default_mlp_ratio = 4,
                        .num_hidden_layers = fields.first_of({"n_layer", "num_hidden_layers"}),
                        .num_attention_heads = fields.first_of({"n_head", "num_attention_heads"}),
                        .max_position_embeddings = "seq_length",
                        .default_max_positions = 2048,
                        .default_activation = "gelu_new"});
  args.alibi = true;
  return args;
}

std::vector<ModuleName> modules(const ModelArgs&) {
  constexpr Layout kPlain = Layout::kPlain, kQkv = Layout::kGrouped;
  constexpr Bias kBias = Bias::kRequired;
  return {
      {"transformer.word_embeddings", "model.embed_tokens"},
      {"transformer.word_embeddings_layernorm", "model.embed_norm", kPlain, kBias},
      {"transformer.h.*.input_layernorm", "input_layernorm", kPlain, kBias},
      {"transformer.h.*.self_attention.query_key_value", "self_attn.q_proj", kQkv, kBias},
      {"transformer.h.*.self_attention.query_key_value", "self_attn.k_proj", kQkv, kBias},
      {"transformer.h.*.self_attention.query_key_value", "self_attn.v_proj", kQkv, kBias},
      {"transformer.h.*.self_attention.dense", "self_attn.o_proj", kPlain, kBias},
      {"transformer.h.*.post_attention_layernorm", "post_attention_layernorm", kPlain, kBias},
      {"transformer.h.*.mlp.dense_h_to_4h", "mlp.up_proj", kPlain, kBias},
      {"transformer.h.*.mlp.dense_4h_to_h", "mlp.down_proj", kPlain, kBias},
      {"transformer.ln_f", "model.norm", kPlain, kBias},
      {"lm_head", "lm_head"},
  };
}

}  // namespace

Family bloom_family() { return {"bloom", parse, modules}; }

}  // namespace octet
