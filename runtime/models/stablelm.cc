// StableLM (Bellagente et al. 2024, "Stable LM 2 1.6B"): LLaMA with LayerNorms, rotary positions on
// part of a head, optionally biases on q, k and v, or parallel blocks with one norm.
#include <nlohmann/json.hpp>

#include "runtime/models/family.h"
#include "runtime/weights/config_fields.h"

namespace octet {
namespace {

ModelArgs parse(const nlohmann::json& config, const std::string& source) {
  const ConfigFields fields(config, source);
  fields.require("hidden_act", "silu");   // the MLP has a gate
  fields.require("qk_layernorm", false);  // a norm of its own for each head of each layer
  ModelArgs args = parse_model_args(
      config, source,
      {.norm_eps = "layer_norm_eps", .default_activation = "silu", .tie_word_embeddings = false});
  fields.require("head_dim", args.hidden_size / args.num_attention_heads);  // attention ignores it
  args.attention_bias = fields.boolean_or("use_qkv_bias", false);
  args.parallel_residual = fields.boolean_or("use_parallel_residual", false);
  args.norms_per_block = args.parallel_residual ? 1 : 2;
  parse_rope(config, source,
             rotary_dim(config, source, "partial_rotary_factor", 0.25, args.head_dim), args);
  return args;
}

std::vector<ModuleName> modules(const ModelArgs& args) {
  constexpr Layout kPlain = Layout::kPlain;
  constexpr Bias kBias = Bias::kRequired;
  const Bias qkv = args.attention_bias ? Bias::kRequired : Bias::kNone;
  std::vector<ModuleName> modules{
      {"model.embed_tokens", "model.embed_tokens"},
      {"model.layers.*.input_layernorm", "input_layernorm", kPlain, kBias},
      {"model.layers.*.self_attn.q_proj", "self_attn.q_proj", kPlain, qkv},
      {"model.layers.*.self_attn.k_proj", "self_attn.k_proj", kPlain, qkv},
      {"model.layers.*.self_attn.v_proj", "self_attn.v_proj", kPlain, qkv},
      {"model.layers.*.self_attn.o_proj", "self_attn.o_proj"},
      {"model.layers.*.mlp.gate_proj", "mlp.gate_proj"},
      {"model.layers.*.mlp.up_proj", "mlp.up_proj"},
      {"model.layers.*.mlp.down_proj", "mlp.down_proj"},
      {"model.norm", "model.norm", kPlain, kBias},
      {"lm_head", "lm_head"},
  };
  if (args.norms_per_block == 2) {
    modules.push_back(
        {"model.layers.*.post_attention_layernorm", "post_attention_layernorm", kPlain, kBias});
  }
  return modules;
}

}  // namespace

Family stablelm_family() { return {"stablelm", parse, modules}; }

}  // namespace octet
