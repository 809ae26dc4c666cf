// ModelArgs: a model's hyper-parameters, under Hugging Face's names. A value; parsed once from
// config.json.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace octet {

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
  float rms_norm_eps = 1e-5f;
  double rope_theta = 10000.0;
  bool rope_interleaved = false;  // octet's own key: llama2.c-style pairs (2i, 2i + 1)
  bool tie_word_embeddings = false;
  bool attention_bias = false;
  std::vector<int32_t> eos_token_ids;  // config.json's eos_token_id: a number, a list, or none
};

// Throws InputError naming `source` (a file), the field and the value: missing, of the wrong type,
// not positive, absurdly large, or not fitting the others (heads not divisible by KV heads).
ModelArgs parse_model_args(const nlohmann::json& config, const std::string& source);

}  // namespace octet
