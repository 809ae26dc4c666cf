#include "tests/testing/tiny_model.h"

#include <fmt/format.h>
#include <stdlib.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "runtime/formats/safetensors_writer.h"

namespace octet::testing {
namespace {

std::vector<SafetensorsSpec> tensors_of(const TinyLlama& m) {
  const int64_t h = m.hidden_size, i = m.intermediate_size;
  const int64_t q = int64_t{m.num_attention_heads} * m.head_dim;
  const int64_t kv = int64_t{m.num_key_value_heads} * m.head_dim;
  std::vector<SafetensorsSpec> specs;
  const auto add = [&](std::string name, Shape shape) {
    specs.push_back({std::move(name), DType::kF32, shape});
  };
  add("model.embed_tokens.weight", {m.vocab_size, h});
  if (!m.tie_word_embeddings) add("lm_head.weight", {m.vocab_size, h});
  add("model.norm.weight", {h});
  for (int layer = 0; layer < m.num_hidden_layers; ++layer) {
    const std::string p = fmt::format("model.layers.{}.", layer);
    add(p + "input_layernorm.weight", {h});
    add(p + "post_attention_layernorm.weight", {h});
    add(p + "self_attn.q_proj.weight", {q, h});
    add(p + "self_attn.k_proj.weight", {kv, h});
    add(p + "self_attn.v_proj.weight", {kv, h});
    add(p + "self_attn.o_proj.weight", {h, q});
    add(p + "mlp.gate_proj.weight", {i, h});
    add(p + "mlp.up_proj.weight", {i, h});
    add(p + "mlp.down_proj.weight", {h, i});
    if (m.attention_bias) {
      add(p + "self_attn.q_proj.bias", {q});
      add(p + "self_attn.k_proj.bias", {kv});
      add(p + "self_attn.v_proj.bias", {kv});
      add(p + "self_attn.o_proj.bias", {h});
    }
  }
  return specs;
}

}  // namespace

std::filesystem::path write_tiny_llama(const std::filesystem::path& folder, const TinyLlama& m) {
  std::filesystem::create_directories(folder);
  const nlohmann::json config{{"model_type", "llama"},
                              {"architectures", {"LlamaForCausalLM"}},
                              {"torch_dtype", "float32"},
                              {"hidden_size", m.hidden_size},
                              {"intermediate_size", m.intermediate_size},
                              {"num_hidden_layers", m.num_hidden_layers},
                              {"num_attention_heads", m.num_attention_heads},
                              {"num_key_value_heads", m.num_key_value_heads},
                              {"head_dim", m.head_dim},
                              {"vocab_size", m.vocab_size},
                              {"max_position_embeddings", m.max_position_embeddings},
                              {"rms_norm_eps", 1e-5},
                              {"rope_theta", 10000.0},
                              {"hidden_act", "silu"},
                              {"attention_bias", m.attention_bias},
                              {"tie_word_embeddings", m.tie_word_embeddings}};
  std::ofstream(folder / "config.json") << config.dump(2);

  const std::vector<SafetensorsSpec> specs = tensors_of(m);
  SafetensorsWriter writer(folder / "model.safetensors", specs);
  std::mt19937 generator(m.seed);
  for (const SafetensorsSpec& spec : specs) {
    const bool norm = spec.name.ends_with("norm.weight");
    const float spread = norm ? 0.2f : spec.name.find("embed") != std::string::npos ? 1.0f : 0.15f;
    std::normal_distribution<float> normal(norm ? m.norm_weight : 0.0f, spread);
    std::vector<float> values(spec.shape.numel());
    for (float& value : values) value = normal(generator);
    writer.write(spec.name, 0, std::as_bytes(std::span(values)));
  }
  return folder;
}

TempFolder::TempFolder() {
  std::string pattern = (std::filesystem::temp_directory_path() / "octet-test-XXXXXX").string();
  if (mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp " + pattern);
  path_ = pattern;
}

TempFolder::~TempFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace octet::testing
