// Small random LLaMA-architecture models, written as Hugging Face folders; for tests that need a
// geometry rather than sense.
#pragma once

#include <cstdint>
#include <filesystem>

namespace octet::testing {

struct TinyLlama {
  int hidden_size = 48;
  int intermediate_size = 100;  // 8 shards of 12 or 13
  int num_hidden_layers = 2;
  int num_attention_heads = 6;
  int num_key_value_heads = 3;
  int head_dim = 8;
  int vocab_size = 150;
  int max_position_embeddings = 160;
  bool tie_word_embeddings = true;
  bool attention_bias = false;
  float norm_weight = 1;  // about which the norms' weights are
  uint32_t seed = 1;
};

// Writes config.json and model.safetensors (fp32) into `folder`, made when absent; returns it.
std::filesystem::path write_tiny_llama(const std::filesystem::path& folder, const TinyLlama& shape);

// A fresh folder under the system's temporary one, removed with everything in it at the end of its
// life.
class TempFolder {
 public:
  TempFolder();
  ~TempFolder();
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace octet::testing
