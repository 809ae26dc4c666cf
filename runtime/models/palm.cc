// PaLM (Chowdhery et al. 2022, section 2): parallel blocks with one norm, multi-query attention,
// rotary positions, SwiGLU, no biases, the head tied to the embedding and scaled by
// 1/sqrt(hidden_size) (section 5). No checkpoint was published; docs/architecture.md says what
// config.json holds.
#include <cmath>
#include <nlohmann/json.hpp>

#include "runtime/models/family.h"
#include "runtime/weights/config_fields.h"

namespace octet {
namespace {

ModelArgs parse(const nlohmann::json& config, const std::string& source) {
  const ConfigFields fields(config, source);
  ModelArgs args =
      parse_model_args(config, source, {.default_mlp_ratio = 4, .default_activation = "silu"});
  if (fields.find("num_key_value_heads") == nullptr) args.num_key_value_heads = 1;
  args.rope_interleaved = fields.boolean_or("rope_interleaved", false);
  args.parallel_residual = true;
  args.norms_per_block = 1;
  args.logit_scale =
      static_cast<float>(fields.positive_or("logit_scale", 1 / std::sqrt(args.hidden_size), 1e6));
  parse_rope(config, source, args.head_dim, args);
  return args;
}

std::vector<ModuleName> modules(const ModelArgs&) {
  return {
      {"model.embed_tokens", "model.embed_tokens"},
      {"model.layers.*.input_layernorm", "input_layernorm"},
      {"model.layers.*.self_attn.q_proj", "self_attn.q_proj"},
      {"model.layers.*.self_attn.k_proj", "self_attn.k_proj"},
      {"model.layers.*.self_attn.v_proj", "self_attn.v_proj"},
      {"model.layers.*.self_attn.o_proj", "self_attn.o_proj"},
      {"model.layers.*.mlp.gate_proj", "mlp.gate_proj"},
      {"model.layers.*.mlp.up_proj", "mlp.up_proj"},
      {"model.layers.*.mlp.down_proj", "mlp.down_proj"},
      {"model.norm", "model.norm"},
      {"lm_head", "lm_head"},
  };
}

}  // namespace

Family palm_family() { return {"palm", parse, modules}; }

}  // namespace octet
