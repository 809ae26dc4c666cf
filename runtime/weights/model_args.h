// ModelArgs: a model's hyper-parameters, under Hugging Face's names. A value; parsed once from
// config.json, by the model's family.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "kernels/backend.h"

namespace octet {

// How rotation frequencies are stretched for contexts longer than those of the training.
struct RopeScaling {
  enum class Kind { kNone, kLinear, kLlama3 } kind = Kind::kNone;
  double factor = 1;
  double low_freq_factor = 1, high_freq_factor = 4;  // kLlama3
  int original_max_position_embeddings = 0;          // kLlama3
};

struct ModelArgs {
  std::string model_type;               // "llama"
  std::string torch_dtype = "float32";  // of the checkpoint
  int hidden_size = 0;
  int intermediate_size = 0;
  int num_hidden_layers = 0;
  int num_attention_heads = 0;
  int num_key_value_heads = 0;  // num_attention_heads where config.json has none
  int head_dim = 0;             // hidden_size / num_attention_heads where config.json has none
  int vocab_size = 0;
  int max_position_embeddings = 0;
  NormKind norm = NormKind::kLayer;
  float norm_eps = 1e-5f;
  bool attention_bias = false, mlp_bias = false;  // where a family leaves them open
  Activation activation = Activation::kSiluGate;
  bool tie_word_embeddings = false;
  std::vector<int32_t> eos_token_ids;  // config.json's eos_token_id: a number, a list, or none

  // Positions.
  int rotary_dim = 0;  // leading elements of a head that rotate; 0: none
  double rope_theta = 10000.0;
  RopeScaling rope_scaling;
  bool rope_interleaved = false;  // pairs (2i, 2i + 1), else (i, i + rotary_dim / 2)
  bool alibi = false;             // Press et al. 2022
  float alibi_scale = 1;          // of the slopes
  int position_offset = 0;        // learned positions: row of position 0 (OPT: 2)

  // Arrangement of a block.
  bool parallel_residual = false;  // x + attention(norm(x)) + mlp(norm(x))
  int norms_per_block = 2;         // 1: attention and MLP of a parallel block share theirs
  bool post_norm = false;          // norm(x + attention(x))
  int sliding_window = 0;          // a position sees so many, itself included; 0: all before it
  int first_window_layer = 0;      // layers before it have no window
  int word_embed_proj_dim = 0;     // width of the embedding where it is not hidden_size, else 0
  float logit_scale = 1;           // logits are multiplied by it

  int embedding_size() const { return word_embed_proj_dim > 0 ? word_embed_proj_dim : hidden_size; }
  int window_of_layer(int i) const { return i >= first_window_layer ? sliding_window : 0; }
};

// What families call the fields that all have.
struct ConfigKeys {
  const char* hidden_size = "hidden_size";
  const char* intermediate_size = "intermediate_size";
  int default_mlp_ratio =
      0;  // of intermediate_size to hidden_size where the field is missing; 0: required
  const char* num_hidden_layers = "num_hidden_layers";
  const char* num_attention_heads = "num_attention_heads";
  const char* max_position_embeddings = "max_position_embeddings";
  int default_max_positions = 0;  // where the field is missing; 0: required
  const char* norm_eps = "layer_norm_epsilon";
  double default_norm_eps = 1e-5;
  const char* activation = "hidden_act";
  const char* default_activation = "gelu";
  bool tie_word_embeddings = true;  // where the field is missing
};

// The fields that all families have. Throws InputError naming `source` (a file), the field and the
// value: missing, of the wrong type, not positive, absurdly large, or not fitting the others (heads
// not divisible by KV heads).
ModelArgs parse_model_args(const nlohmann::json& config, const std::string& source,
                           const ConfigKeys& keys);

// How many elements of a head rotate, where the config gives their share: under `key` or, newer and
// stronger, as rope_parameters.partial_rotary_factor.
int rotary_dim(const nlohmann::json& config, const std::string& source, const char* key,
               double fallback, int head_dim);

// The rotation over `rotary_dim` elements of each head: rope_theta and rope_scaling, in the old
// spelling and the new one (rope_parameters).
void parse_rope(const nlohmann::json& config, const std::string& source, int rotary_dim,
                ModelArgs& args);

}  // namespace octet
