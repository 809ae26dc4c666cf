// GPT-J (Wang and Komatsuzaki 2021): parallel blocks with one norm, neighbours rotate together over
// part of a head, no biases in attention, a head with a bias.
#include <nlohmann/json.hpp>

#include "runtime/models/family.h"
#include "runtime/weights/config_fields.h"

namespace octet {
namespace {

ModelArgs parse(const nlohmann::json& config, const std::string& source) {
  const ConfigFields fields(config, source);
  ModelArgs args = parse_model_args(config, source,
                                    {.hidden_size = "n_embd",
                                     .intermediate_size = "n_inner",
                                     .default_mlp_ratio = 4,
                                     .num_hidden_layers = "n_layer",
                                     .num_attention_heads = "n_head",
                                     .max_position_embeddings = "n_positions",
                                     .activation = "activation_function",
                                     .default_activation = "gelu_new",
                                     .tie_word_embeddings = false});
  fields.require("tie_word_embeddings", false);  // its head has a bias
  args.parallel_residual = true;
  args.norms_per_block = 1;
  args.rope_interleaved = true;
  parse_rope(config, source, fields.extent_or("rotary_dim", 64), args);
  return args;
}

std::vector<ModuleName> modules(const ModelArgs&) {
  constexpr Layout kPlain = Layout::kPlain;
  constexpr Bias kBias = Bias::kRequired;
  return {
      {"transformer.wte", "model.embed_tokens"},
      {"transformer.h.*.ln_1", "input_layernorm", kPlain, kBias},
      {"transformer.h.*.attn.q_proj", "self_attn.q_proj"},
      {"transformer.h.*.attn.k_proj", "self_attn.k_proj"},
      {"transformer.h.*.attn.v_proj", "self_attn.v_proj"},
      {"transformer.h.*.attn.out_proj", "self_attn.o_proj"},
      {"transformer.h.*.mlp.fc_in", "mlp.up_proj", kPlain, kBias},
      {"transformer.h.*.mlp.fc_out", "mlp.down_proj", kPlain, kBias},
      {"transformer.ln_f", "model.norm", kPlain, kBias},
      {"lm_head", "lm_head", kPlain, Bias::kOptional},
  };
}

}  // namespace

Family gptj_family() { return {"gptj", parse, modules}; }

}  // namespace octet
