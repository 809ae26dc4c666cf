// Falcon (Almazrouei et al. 2023): multi-query (7B) or grouped-query attention with a norm for each
// half of a parallel block (40B, 180B); the RefinedWeb models have ALiBi and sequential blocks.
#include <cmath>
#include <nlohmann/json.hpp>

#include "runtime/models/family.h"
#include "runtime/weights/config_fields.h"

namespace octet {
namespace {

ModelArgs parse(const nlohmann::json& config, const std::string& source) {
  const ConfigFields fields(config, source);
  const bool grouped = fields.boolean_or("new_decoder_architecture", false);
  ModelArgs args =
      parse_model_args(config, source,
                       {.intermediate_size = "ffn_hidden_size",
                        .default_mlp_ratio = 4,
                        .num_hidden_layers = fields.first_of({"num_hidden_layers", "n_layer"}),
                        .num_attention_heads = fields.first_of({"num_attention_heads", "n_head"}),
                        .default_max_positions = 2048,
                        .activation = "activation"});
  if (grouped) {
    args.num_key_value_heads =
        fields.extent_or(fields.first_of({"num_kv_heads", "n_head_kv"}), args.num_attention_heads);
  } else if (fields.boolean_or("multi_query", true)) {
    args.num_key_value_heads = 1;
  }
  if (args.num_attention_heads % args.num_key_value_heads != 0) {
    fields.fail("num_kv_heads", "does not divide num_attention_heads");
  }
  args.parallel_residual = grouped || fields.boolean_or("parallel_attn", true);
  const int norms = fields.extent_or("num_ln_in_parallel_attn", grouped ? 2 : 1);
  if (norms > 2) fields.fail("num_ln_in_parallel_attn", "is more than 2");
  args.norms_per_block = args.parallel_residual ? norms : 2;
  args.attention_bias = fields.boolean_or("bias", false);
  args.alibi = fields.boolean_or("alibi", false);
  // The bias is added before the scores are scaled.
  if (args.alibi) args.alibi_scale = static_cast<float>(1 / std::sqrt(args.head_dim));
  if (!args.alibi) parse_rope(config, source, args.head_dim, args);
  return args;
}

std::vector<ModuleName> modules(const ModelArgs& args) {
  constexpr Layout kPlain = Layout::kPlain, kQkv = Layout::kGrouped;
  constexpr Bias kBias = Bias::kRequired;
  const Bias linear = args.attention_bias ? Bias::kRequired : Bias::kNone;
  const bool two = args.parallel_residual && args.norms_per_block == 2;
  std::vector<ModuleName> modules{
      {"transformer.word_embeddings", "model.embed_tokens"},
      {two ? "transformer.h.*.ln_attn" : "transformer.h.*.input_layernorm", "input_layernorm",
       kPlain, kBias},
      {"transformer.h.*.self_attention.query_key_value", "self_attn.q_proj", kQkv, linear},
      {"transformer.h.*.self_attention.query_key_value", "self_attn.k_proj", kQkv, linear},
      {"transformer.h.*.self_attention.query_key_value", "self_attn.v_proj", kQkv, linear},
      {"transformer.h.*.self_attention.dense", "self_attn.o_proj", kPlain, linear},
      {"transformer.h.*.mlp.dense_h_to_4h", "mlp.up_proj", kPlain, linear},
      {"transformer.h.*.mlp.dense_4h_to_h", "mlp.down_proj", kPlain, linear},
      {"transformer.ln_f", "model.norm", kPlain, kBias},
      {"lm_head", "lm_head"},
  };
  if (args.norms_per_block == 2) {
    modules.push_back({two ? "transformer.h.*.ln_mlp" : "transformer.h.*.post_attention_layernorm",
                       "post_attention_layernorm", kPlain, kBias});
  }
  return modules;
}

}  // namespace

Family falcon_family() { return {"falcon", parse, modules}; }

}  // namespace octet
