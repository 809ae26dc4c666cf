#include "runtime/models/presets.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "runtime/request/error.h"

namespace octet {
namespace {

struct Preset {
  std::string_view name;
  std::string_view config;
};

constexpr Preset kPresets[] = {
    // Brown et al. 2020, table 2.1; its sparse layers as dense ones.
    {"gpt3-175b", R"({"model_type": "gpt2", "n_embd": 12288, "n_layer": 96, "n_head": 96,
      "n_positions": 2048, "vocab_size": 50257})"},
    // Zhang et al. 2022, table 1.
    {"opt-66b", R"({"model_type": "opt", "hidden_size": 9216, "ffn_dim": 36864,
      "num_hidden_layers": 64, "num_attention_heads": 72, "max_position_embeddings": 2048,
      "vocab_size": 50272})"},
    {"opt-175b", R"({"model_type": "opt", "hidden_size": 12288, "ffn_dim": 49152,
      "num_hidden_layers": 96, "num_attention_heads": 96, "max_position_embeddings": 2048,
      "vocab_size": 50272})"},
    // Scao et al. 2022, table 3.
    {"bloom-176b", R"({"model_type": "bloom", "hidden_size": 14336, "n_layer": 70, "n_head": 112,
      "seq_length": 2048, "vocab_size": 250880})"},
    // Chowdhery et al. 2022, table 1.
    {"palm-540b", R"({"model_type": "palm", "hidden_size": 18432, "intermediate_size": 73728,
      "num_hidden_layers": 118, "num_attention_heads": 48, "head_dim": 256,
      "max_position_embeddings": 2048, "vocab_size": 256000})"},
    {"llama3-405b", R"({"model_type": "llama", "hidden_size": 16384, "intermediate_size": 53248,
      "num_hidden_layers": 126, "num_attention_heads": 128, "num_key_value_heads": 8,
      "max_position_embeddings": 8192, "rope_theta": 500000.0, "vocab_size": 128256})"},
    {"llama3-70b", R"({"model_type": "llama", "hidden_size": 8192, "intermediate_size": 28672,
      "num_hidden_layers": 80, "num_attention_heads": 64, "num_key_value_heads": 8,
      "max_position_embeddings": 8192, "rope_theta": 500000.0, "vocab_size": 128256})"},
    {"llama2-7b", R"({"model_type": "llama", "hidden_size": 4096, "intermediate_size": 11008,
      "num_hidden_layers": 32, "num_attention_heads": 32, "max_position_embeddings": 4096,
      "vocab_size": 32000})"},
    {"tinyllama-1.1b", R"({"model_type": "llama", "hidden_size": 2048, "intermediate_size": 5632,
      "num_hidden_layers": 22, "num_attention_heads": 32, "num_key_value_heads": 4,
      "max_position_embeddings": 2048, "vocab_size": 32000})"},
    {"smollm2-135m", R"({"model_type": "llama", "hidden_size": 576, "intermediate_size": 1536,
      "num_hidden_layers": 30, "num_attention_heads": 9, "num_key_value_heads": 3,
      "max_position_embeddings": 8192, "rope_theta": 100000.0, "vocab_size": 49152,
      "tie_word_embeddings": true})"},
};

}  // namespace

std::optional<nlohmann::json> preset_config(std::string_view name) {
  for (const Preset& preset : kPresets) {
    if (preset.name == name) return nlohmann::json::parse(preset.config);
  }
  return std::nullopt;
}

std::vector<std::string_view> preset_names() {
  std::vector<std::string_view> names;
  for (const Preset& preset : kPresets) names.push_back(preset.name);
  return names;
}

bool is_preset(const std::filesystem::path& path) {
  return !std::filesystem::exists(path) && preset_config(path.string());
}

void require_files(const std::filesystem::path& path) {
  if (!is_preset(path)) return;
  throw InputError(fmt::format("{} is a preset, a model's shape without files: give an artefact, a "
                               "Hugging Face folder or a GGUF file; presets are for octet plan and "
                               "--load-format dummy",
                               path.string()),
                   ErrorCode::kNotFound);
}

}  // namespace octet
