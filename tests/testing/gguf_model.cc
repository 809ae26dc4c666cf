#include "tests/testing/gguf_model.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <vector>

#include "tests/formats/gguf_builder.h"
#include "tests/testing/formula_model.h"

namespace octet::testing {
namespace {

using nlohmann::json;

// In this order: what begins with another stands before it.
constexpr std::pair<std::string_view, std::string_view> kWords[] = {
    {"transformer.word_embeddings_layernorm", "token_embd_norm"},
    {"transformer.word_embeddings", "token_embd"},
    {"transformer.wte", "token_embd"},
    {"transformer.wpe", "position_embd"},
    {"transformer.ln_f", "output_norm"},
    {"transformer.h.", "blk."},
    {"gpt_neox.embed_in", "token_embd"},
    {"gpt_neox.final_layer_norm", "output_norm"},
    {"gpt_neox.layers.", "blk."},
    {"model.embed_tokens", "token_embd"},
    {"model.norm", "output_norm"},
    {"model.layers.", "blk."},
    {"embed_out", "output"},
    {"lm_head", "output"},
    {".input_layernorm", ".attn_norm"},
    {".post_attention_layernorm", ".ffn_norm"},
    {".ln_1", ".attn_norm"},
    {".ln_2", ".ffn_norm"},
    {".ln_attn", ".attn_norm_2"},
    {".ln_mlp", ".attn_norm"},
    {".attn.c_attn", ".attn_qkv"},
    {".attn.c_proj", ".attn_output"},
    {".self_attention.query_key_value", ".attn_qkv"},
    {".self_attention.dense", ".attn_output"},
    {".attention.query_key_value", ".attn_qkv"},
    {".attention.dense", ".attn_output"},
    {".self_attn.q_proj", ".attn_q"},
    {".self_attn.k_proj", ".attn_k"},
    {".self_attn.v_proj", ".attn_v"},
    {".self_attn.o_proj", ".attn_output"},
    {".self_attn.q_norm", ".attn_q_norm"},
    {".self_attn.k_norm", ".attn_k_norm"},
    {".mlp.c_fc", ".ffn_up"},
    {".mlp.c_proj", ".ffn_down"},
    {".mlp.dense_h_to_4h", ".ffn_up"},
    {".mlp.dense_4h_to_h", ".ffn_down"},
    {".mlp.gate_proj", ".ffn_gate"},
    {".mlp.up_proj", ".ffn_up"},
    {".mlp.down_proj", ".ffn_down"},
};

std::string gguf_name(std::string name) {
  for (const auto& [from, to] : kWords) {
    const size_t at = name.find(from);
    if (at != std::string::npos) name.replace(at, from.size(), to);
  }
  return name;
}

bool contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

struct Matrix {
  size_t rows = 0, columns = 0;
  std::vector<float> values;

  Matrix of_rows(const std::vector<size_t>& order) const {
    Matrix out{rows, columns, {}};
    for (const size_t row : order) {
      const auto begin = values.begin() + static_cast<int64_t>(row * columns);
      out.values.insert(out.values.end(), begin, begin + static_cast<int64_t>(columns));
    }
    return out;
  }

  Matrix turned() const {
    Matrix out{columns, rows, {}};
    for (size_t j = 0; j < columns; ++j) {
      for (size_t i = 0; i < rows; ++i) out.values.push_back(values[i * columns + j]);
    }
    return out;
  }
};

class Writer {
 public:
  explicit Writer(const json& model)
      : model_(model), config_(model["config"]), architecture_(gguf_architecture(config_)) {}

  std::string write() {
    builder_.key_string("general.architecture", architecture_);
    write_keys();
    for (const auto& [name, tensor] : model_["tensors"].items()) write_tensor(name, tensor);
    write_rope_factors();
    return builder_.build();
  }

 private:
  template <typename T>
  T any_of(std::initializer_list<const char*> names, T fallback) const {
    for (const char* name : names) {
      if (config_.contains(name) && !config_[name].is_null()) return config_[name].get<T>();
    }
    return fallback;
  }
  uint32_t hidden() const { return any_of<uint32_t>({"hidden_size", "n_embd"}, 0); }
  uint32_t heads() const { return any_of<uint32_t>({"num_attention_heads", "n_head"}, 0); }
  uint32_t kv_heads() const {
    if (architecture_ != "falcon") return any_of<uint32_t>({"num_key_value_heads"}, heads());
    return config_["new_decoder_architecture"] == true ? any_of<uint32_t>({"num_kv_heads"}, 0) : 1;
  }
  uint32_t head_dim() const { return any_of<uint32_t>({"head_dim"}, hidden() / heads()); }

  void key_u32(const char* name, uint32_t value) {
    builder_.key_u32(architecture_ + "." + name, value);
  }
  void key_f32(const char* name, double value) {
    builder_.key_f32(architecture_ + "." + name, static_cast<float>(value));
  }

  void write_keys() {
    key_u32("vocab_size", config_["vocab_size"]);
    key_u32("context_length", any_of<uint32_t>({"max_position_embeddings", "n_positions"}, 2048));
    key_u32("embedding_length", hidden());
    key_u32("block_count", any_of<uint32_t>({"num_hidden_layers", "n_layer"}, 0));
    key_u32("feed_forward_length",
            any_of<uint32_t>({"intermediate_size", "n_inner", "ffn_hidden_size"}, 4 * hidden()));
    key_u32("attention.head_count", heads());
    if (architecture_ != "gpt2" && architecture_ != "gptneox") {
      key_u32("attention.head_count_kv", kv_heads());
    }
    if (config_.contains("rms_norm_eps")) {
      key_f32("attention.layer_norm_rms_epsilon", config_["rms_norm_eps"]);
    } else {
      key_f32("attention.layer_norm_epsilon",
              any_of<double>({"layer_norm_epsilon", "layer_norm_eps"}, 0));
    }
    if (config_.contains("head_dim")) {
      key_u32("attention.key_length", head_dim());
      key_u32("attention.value_length", head_dim());
    }
    if (architecture_ == "gptneox") {
      const double share = config_["rotary_pct"];
      key_u32("rope.dimension_count", static_cast<uint32_t>(share * head_dim()));
      builder_.key("gptneox.use_parallel_residual", 7,
                   static_cast<uint8_t>(config_["use_parallel_residual"].get<bool>()));
    } else if (config_.contains("rope_theta")) {
      key_f32("rope.freq_base", config_["rope_theta"]);
    }
    if (config_["model_type"] == "mistral") {
      key_u32("attention.sliding_window", config_["sliding_window"]);
    }
    if (scaling_type() == "linear") {
      builder_.key_string(architecture_ + ".rope.scaling.type", "linear");
      key_f32("rope.scaling.factor", config_["rope_scaling"]["factor"]);
    }
  }

  std::string scaling_type() const {
    if (!config_.contains("rope_scaling") || config_["rope_scaling"].is_null()) return "";
    const json& scaling = config_["rope_scaling"];
    return scaling.contains("type") ? scaling["type"] : scaling["rope_type"];
  }

  // Llama 3's stretching is a tensor of what the frequencies are divided by.
  void write_rope_factors() {
    if (scaling_type() != "llama3") return;
    const json& scaling = config_["rope_scaling"];
    const double factor = scaling["factor"], low = scaling["low_freq_factor"],
                 high = scaling["high_freq_factor"],
                 context = scaling["original_max_position_embeddings"],
                 theta = config_["rope_theta"];
    std::string bytes;
    for (uint32_t i = 0; i < head_dim(); i += 2) {
      const double wave =
          2 * std::acos(-1.0) * std::pow(theta, static_cast<double>(i) / head_dim());
      const double smooth = (context / wave - low) / (high - low);
      GgufBuilder::put(
          bytes, static_cast<float>(wave < context / high  ? 1
                                    : wave > context / low ? factor
                                                           : 1 / ((1 - smooth) / factor + smooth)));
    }
    builder_.tensor("rope_freqs.weight", {head_dim() / 2}, 0, bytes);
  }

  void write_tensor(const std::string& name, const json& tensor) {
    const auto shape = tensor["shape"].get<std::vector<uint64_t>>();
    Matrix matrix{shape[0], shape.size() == 2 ? shape[1] : 1, {}};
    matrix.values = formula_values(name, model_["seed"], matrix.rows * matrix.columns,
                                   tensor["scale"], tensor["offset"]);
    matrix = converted(name, matrix, shape.size() == 2);
    std::vector<uint64_t> dims{matrix.rows};
    if (shape.size() == 2) dims.insert(dims.begin(), matrix.columns);
    std::string bytes;
    for (const float value : matrix.values) GgufBuilder::put(bytes, value);
    builder_.tensor(gguf_name(name), dims, 0, bytes);
  }

  Matrix converted(const std::string& name, const Matrix& matrix, bool is_matrix) const {
    if (architecture_ == "gpt2") {
      return is_matrix && contains(name, ".c_") ? matrix.turned() : matrix;
    }
    if (contains(name, "query_key_value")) return matrix.of_rows(q_then_k_then_v());
    if (architecture_ == "llama" && contains(name, ".q_proj")) {
      return matrix.of_rows(interleaved(heads()));
    }
    if (architecture_ == "llama" && contains(name, ".k_proj")) {
      return matrix.of_rows(interleaved(kv_heads()));
    }
    return matrix;
  }

  // Published: for each KV head the rows of its query heads, of k and of v.
  std::vector<size_t> q_then_k_then_v() const {
    const size_t queries = heads() / kv_heads(), d = head_dim();
    std::vector<size_t> order;
    const auto take = [&](size_t first, size_t count) {
      for (size_t group = 0; group < kv_heads(); ++group) {
        for (size_t i = 0; i < count * d; ++i) {
          order.push_back((group * (queries + 2) + first) * d + i);
        }
      }
    };
    take(0, queries);
    take(queries, 1);
    take(queries + 1, 1);
    return order;
  }

  std::vector<size_t> interleaved(size_t count) const {
    const size_t d = head_dim();
    std::vector<size_t> order;
    for (size_t head = 0; head < count; ++head) {
      for (size_t i = 0; i < d / 2; ++i) {
        order.push_back(head * d + i);
        order.push_back(head * d + d / 2 + i);
      }
    }
    return order;
  }

  const json& model_;
  const json& config_;
  const std::string architecture_;
  GgufBuilder builder_;
};

}  // namespace

std::string gguf_architecture(const json& config) {
  const std::string type = config["model_type"];
  if (type == "falcon" && config["alibi"] == true) return "";
  if (type == "gpt_neox") return "gptneox";
  if (type == "mistral") return "llama";
  const bool same = type == "bloom" || type == "falcon" || type == "gpt2" || type == "llama" ||
                    type == "qwen2" || type == "qwen3";
  return same ? type : "";
}

std::string gguf_model(const json& model) { return Writer(model).write(); }

std::filesystem::path write_gguf_model(const std::filesystem::path& path, const json& model) {
  std::ofstream(path, std::ios::binary) << gguf_model(model);
  return path;
}

}  // namespace octet::testing
