// OPT (Zhang et al. 2022): as GPT-2 with ReLU and positions that start at row 2. The 350m model has
// its norms after the sums, no final norm, and an embedding narrower than the stream.
#include <nlohmann/json.hpp>

#include "runtime/models/family.h"
#include "runtime/weights/config_fields.h"

namespace octet {
namespace {

ModelArgs parse(const nlohmann::json& config, const std::string& source) {
  const ConfigFields fields(config, source);
  fields.require("enable_bias", true);
  fields.require("layer_norm_elementwise_affine", true);
  fields.require("_remove_final_layer_norm", false);
  ModelArgs args = parse_model_args(config, source,
                                    {.intermediate_size = "ffn_dim",
                                     .activation = "activation_function",
                                     .default_activation = "relu"});
  args.position_offset = 2;
  args.post_norm = !fields.boolean_or("do_layer_norm_before", true);
  const int width = fields.extent_or("word_embed_proj_dim", args.hidden_size);
  args.word_embed_proj_dim = width == args.hidden_size ? 0 : width;
  return args;
}

std::vector<ModuleName> modules(const ModelArgs& args) {
  constexpr Layout kPlain = Layout::kPlain;
  constexpr Bias kBias = Bias::kRequired;
  std::vector<ModuleName> modules{
      {"model.decoder.embed_tokens", "model.embed_tokens"},
      {"model.decoder.embed_positions", "model.embed_positions"},
      {"model.decoder.layers.*.self_attn_layer_norm", "input_layernorm", kPlain, kBias},
      {"model.decoder.layers.*.self_attn.q_proj", "self_attn.q_proj", kPlain, kBias},
      {"model.decoder.layers.*.self_attn.k_proj", "self_attn.k_proj", kPlain, kBias},
      {"model.decoder.layers.*.self_attn.v_proj", "self_attn.v_proj", kPlain, kBias},
      {"model.decoder.layers.*.self_attn.out_proj", "self_attn.o_proj", kPlain, kBias},
      {"model.decoder.layers.*.final_layer_norm", "post_attention_layernorm", kPlain, kBias},
      {"model.decoder.layers.*.fc1", "mlp.up_proj", kPlain, kBias},
      {"model.decoder.layers.*.fc2", "mlp.down_proj", kPlain, kBias},
      {"lm_head", "lm_head"},
  };
  if (!args.post_norm) {
    modules.push_back({"model.decoder.final_layer_norm", "model.norm", kPlain, kBias});
  }
  if (args.word_embed_proj_dim > 0) {
    modules.push_back({"model.decoder.project_in", "model.project_in"});
    modules.push_back({"model.decoder.project_out", "model.project_out"});
  }
  return modules;
}

}  // namespace

Family opt_family() { return {"opt", parse, modules}; }

}  // namespace octet
