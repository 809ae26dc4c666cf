#include "runtime/weights/gguf_llama.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>

#include "runtime/formats/ggml_types.h"
#include "runtime/formats/printable.h"
#include "runtime/request/error.h"

namespace octet {
namespace {

struct NamePair {
  std::string_view gguf, hf;
};

constexpr NamePair kModelNames[] = {
    {"token_embd", "model.embed_tokens"}, {"output_norm", "model.norm"}, {"output", "lm_head"}};

constexpr NamePair kLayerNames[] = {
    {"attn_norm", "input_layernorm"},    {"attn_q", "self_attn.q_proj"},
    {"attn_k", "self_attn.k_proj"},      {"attn_v", "self_attn.v_proj"},
    {"attn_output", "self_attn.o_proj"}, {"ffn_norm", "post_attention_layernorm"},
    {"ffn_gate", "mlp.gate_proj"},       {"ffn_up", "mlp.up_proj"},
    {"ffn_down", "mlp.down_proj"},
};

constexpr std::string_view kIgnored[] = {"rope_freqs.weight", "rope_factors_long.weight",
                                         "rope_factors_short.weight"};

template <size_t N>
std::optional<std::string_view> translate(const NamePair (&pairs)[N], std::string_view gguf) {
  const auto found = std::ranges::find(pairs, gguf, &NamePair::gguf);
  return found == std::end(pairs) ? std::nullopt : std::optional(found->hf);
}

// The type of the matrices: what torch_dtype says of a Hugging Face folder. Block formats are no
// more exact than bf16.
std::string torch_dtype(const GgufFile& file) {
  std::string dtype = "float32";
  for (const GgufTensor& tensor : file.tensors()) {
    if (tensor.shape.size() < 2 || tensor.type == static_cast<uint32_t>(GgmlType::kF32)) continue;
    if (tensor.type != static_cast<uint32_t>(GgmlType::kF16)) return "bfloat16";
    dtype = "float16";
  }
  return dtype;
}

bool has_tensor(const GgufFile& file, std::string_view name) {
  return std::ranges::find(file.tensors(), name, &GgufTensor::name) != file.tensors().end();
}

uint64_t vocabulary_size(const GgufFile& file) {
  constexpr const char* kTokens = "tokenizer.ggml.tokens";
  return file.has(kTokens) ? file.get<std::vector<std::string>>(kTokens).size()
                           : file.get<uint64_t>("llama.vocab_size");
}

}  // namespace

nlohmann::json gguf_config(const GgufFile& file) {
  const auto architecture = file.get<std::string>("general.architecture");
  if (architecture != "llama") {
    throw InputError(fmt::format("{}: key 'general.architecture' is {}; 'llama' is known",
                                 file.path().string(), printable(architecture)));
  }
  const auto heads = file.get<uint64_t>("llama.attention.head_count");
  nlohmann::json config = {
      {"architectures", {"LlamaForCausalLM"}},
      {"model_type", "llama"},
      {"torch_dtype", torch_dtype(file)},
      {"hidden_act", "silu"},
      {"hidden_size", file.get<uint64_t>("llama.embedding_length")},
      {"intermediate_size", file.get<uint64_t>("llama.feed_forward_length")},
      {"num_hidden_layers", file.get<uint64_t>("llama.block_count")},
      {"num_attention_heads", heads},
      {"num_key_value_heads", file.get_or<uint64_t>("llama.attention.head_count_kv", heads)},
      {"max_position_embeddings", file.get<uint64_t>("llama.context_length")},
      {"rms_norm_eps", file.get<double>("llama.attention.layer_norm_rms_epsilon")},
      {"rope_theta", file.get_or<double>("llama.rope.freq_base", 10000.0)},
      {"vocab_size", vocabulary_size(file)},
      {"tie_word_embeddings", !has_tensor(file, "output.weight")},
      {"attention_bias", has_tensor(file, "blk.0.attn_q.bias")},
  };
  if (file.has("llama.attention.key_length")) {
    config["head_dim"] = file.get<uint64_t>("llama.attention.key_length");
  }
  for (const char* id : {"bos_token_id", "eos_token_id"}) {
    const std::string key = fmt::format("tokenizer.ggml.{}", id);
    if (file.has(key)) config[id] = file.get<uint64_t>(key);
  }
  const auto scaling = file.get_or<std::string>("llama.rope.scaling.type", "none");
  if (scaling != "none") config["rope_scaling"] = {{"rope_type", printable(scaling)}};
  return config;
}

std::optional<std::string> gguf_to_hf_name(std::string_view name) {
  const size_t dot = name.rfind('.');
  if (dot == std::string_view::npos) return std::nullopt;
  const std::string_view suffix = name.substr(dot);
  if (suffix != ".weight" && suffix != ".bias") return std::nullopt;
  name = name.substr(0, dot);
  if (!name.starts_with("blk.")) {
    const auto hf = translate(kModelNames, name);
    return hf ? std::optional(fmt::format("{}{}", *hf, suffix)) : std::nullopt;
  }
  unsigned layer = 0;
  const auto [end, error] = std::from_chars(name.data() + 4, name.data() + name.size(), layer);
  if (error != std::errc() || end == name.data() + name.size() || *end != '.') return std::nullopt;
  const auto hf = translate(kLayerNames, {end + 1, name.data() + name.size()});
  return hf ? std::optional(fmt::format("model.layers.{}.{}{}", layer, *hf, suffix)) : std::nullopt;
}

bool gguf_is_ignored(std::string_view name) {
  return std::ranges::find(kIgnored, name) != std::end(kIgnored) ||
         name.ends_with(".attn_rot_embd.weight");
}

GgufHeads gguf_heads(const GgufFile& file) {
  constexpr const char* kHeads = "llama.attention.head_count";
  GgufHeads heads;
  const auto fail = [&](const std::string& what) {
    throw InputError(fmt::format("{}: key '{}' is {}", file.path().string(), kHeads, what));
  };
  heads.num_heads = file.get<int64_t>(kHeads);
  const auto hidden = file.get<int64_t>("llama.embedding_length");
  if (heads.num_heads < 1) fail(fmt::format("{}", heads.num_heads));
  if (!file.has("llama.attention.key_length") && hidden % heads.num_heads != 0) {
    fail(fmt::format("{}, not a divisor of the embedding length {}", heads.num_heads, hidden));
  }
  heads.num_kv_heads = file.get_or<int64_t>("llama.attention.head_count_kv", heads.num_heads);
  heads.head_dim = file.get_or<int64_t>("llama.attention.key_length", hidden / heads.num_heads);
  return heads;
}

int64_t gguf_permuted_heads(std::string_view hf_name, const GgufHeads& heads) {
  if (hf_name.find(".self_attn.q_proj.") != std::string_view::npos) return heads.num_heads;
  if (hf_name.find(".self_attn.k_proj.") != std::string_view::npos) return heads.num_kv_heads;
  return 0;
}

int64_t gguf_row(int64_t row, int64_t head_dim) {
  const int64_t head = row / head_dim, within = row % head_dim;
  return head * head_dim + within % (head_dim / 2) * 2 + within / (head_dim / 2);
}

}  // namespace octet
