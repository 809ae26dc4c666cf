#include "tests/weights/tiny_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <random>

#include "runtime/formats/safetensors_folder.h"
#include "runtime/formats/safetensors_writer.h"
#include "tests/formats/gguf_builder.h"
#include "tests/formats/temp_folder.h"

namespace octet {
namespace {

constexpr int kLayers = 2, kHidden = 24, kHeads = 6, kKvHeads = 3, kHeadDim = 4, kMlp = 20,
              kVocab = 40;

std::string as_bytes(const std::vector<float>& values, DType dtype) {
  std::string bytes;
  for (float value : values) {
    if (dtype == DType::kF32) {
      GgufBuilder::put(bytes, value);
    } else {
      GgufBuilder::put(bytes, dtype == DType::kF16 ? f32_to_f16(value) : f32_to_bf16(value));
    }
  }
  return bytes;
}

// The GGUF file's order of a q or k matrix's rows: in each head 0, d/2, 1, d/2 + 1, ...
std::vector<float> interleave_heads(const TinyTensor& tensor) {
  const size_t columns = static_cast<size_t>(tensor.shape[1]), half = kHeadDim / 2;
  std::vector<float> out;
  for (size_t head = 0; head < static_cast<size_t>(tensor.shape[0]) / kHeadDim; ++head) {
    for (size_t i = 0; i < kHeadDim; ++i) {
      const size_t row = head * kHeadDim + i / 2 + i % 2 * half;
      const auto begin = tensor.values.begin() + static_cast<int64_t>(row * columns);
      out.insert(out.end(), begin, begin + static_cast<int64_t>(columns));
    }
  }
  return out;
}

std::string gguf_name(std::string name) {
  const std::pair<const char*, const char*> kWords[] = {
      {"model.layers.", "blk."},
      {"model.embed_tokens", "token_embd"},
      {"model.norm", "output_norm"},
      {"input_layernorm", "attn_norm"},
      {"post_attention_layernorm", "ffn_norm"},
      {"self_attn.q_proj", "attn_q"},
      {"self_attn.k_proj", "attn_k"},
      {"self_attn.v_proj", "attn_v"},
      {"self_attn.o_proj", "attn_output"},
      {"mlp.gate_proj", "ffn_gate"},
      {"mlp.up_proj", "ffn_up"},
      {"mlp.down_proj", "ffn_down"},
  };
  for (const auto& [from, to] : kWords) {
    const size_t at = name.find(from);
    if (at != std::string::npos) name.replace(at, std::string(from).size(), to);
  }
  return name;
}

}  // namespace

nlohmann::json tiny_config() {
  return {{"model_type", "llama"},           {"torch_dtype", "bfloat16"},
          {"hidden_size", kHidden},          {"intermediate_size", kMlp},
          {"num_hidden_layers", kLayers},    {"num_attention_heads", kHeads},
          {"num_key_value_heads", kKvHeads}, {"vocab_size", kVocab},
          {"max_position_embeddings", 64},   {"rms_norm_eps", 1e-5},
          {"rope_theta", 10000.0},           {"eos_token_id", 2},
          {"tie_word_embeddings", true}};
}

std::vector<TinyTensor> tiny_tensors() {
  std::vector<TinyTensor> tensors = {{"model.embed_tokens.weight", Shape{kVocab, kHidden}, {}},
                                     {"model.norm.weight", Shape{kHidden}, {}}};
  for (int layer = 0; layer < kLayers; ++layer) {
    const auto add = [&](const char* name, Shape shape) {
      tensors.push_back({fmt::format("model.layers.{}.{}.weight", layer, name), shape, {}});
    };
    add("input_layernorm", {kHidden});
    add("post_attention_layernorm", {kHidden});
    add("self_attn.q_proj", {kHeads * kHeadDim, kHidden});
    add("self_attn.k_proj", {kKvHeads * kHeadDim, kHidden});
    add("self_attn.v_proj", {kKvHeads * kHeadDim, kHidden});
    add("self_attn.o_proj", {kHidden, kHeads * kHeadDim});
    add("mlp.gate_proj", {kMlp, kHidden});
    add("mlp.up_proj", {kMlp, kHidden});
    add("mlp.down_proj", {kHidden, kMlp});
  }
  std::mt19937 random(3);
  for (TinyTensor& tensor : tensors) {
    for (int64_t i = 0; i < tensor.shape.numel(); ++i) {
      tensor.values.push_back(static_cast<float>(static_cast<int>(random() % 255) - 127) / 64.0f);
    }
  }
  std::ranges::sort(tensors, {}, &TinyTensor::name);
  return tensors;
}

void write_tiny_folder(const std::filesystem::path& folder, DType dtype, int num_files,
                       const std::vector<TinyTensor>& tensors) {
  std::filesystem::create_directories(folder);
  write_file(folder / "config.json", tiny_config().dump(2));
  write_file(folder / "tokenizer.json", "{\"version\": \"1.0\"}\n");
  nlohmann::json map;
  for (int file = 0; file < num_files; ++file) {
    const std::string name = fmt::format("model-{}.safetensors", file);
    std::vector<SafetensorsSpec> specs;
    for (size_t i = static_cast<size_t>(file); i < tensors.size();
         i += static_cast<size_t>(num_files)) {
      specs.push_back({tensors[i].name, dtype, tensors[i].shape});
      map[tensors[i].name] = name;
    }
    SafetensorsWriter writer(folder / name, specs);
    for (const TinyTensor& tensor : tensors) {
      const std::string bytes = as_bytes(tensor.values, dtype);
      if (map.contains(tensor.name) && map[tensor.name] == name) {
        writer.write(tensor.name, 0, std::as_bytes(std::span(bytes)));
      }
    }
  }
  if (num_files > 1) {
    write_file(folder / kSafetensorsIndex, nlohmann::json{{"weight_map", map}}.dump());
  }
}

void write_untied_folder(const std::filesystem::path& folder) {
  std::vector<TinyTensor> tensors = tiny_tensors();
  TinyTensor head = *std::ranges::find(tensors, "model.embed_tokens.weight", &TinyTensor::name);
  head.name = "lm_head.weight";
  std::ranges::reverse(head.values);
  tensors.insert(tensors.begin(), head);
  write_tiny_folder(folder, DType::kBF16, 1, tensors);
  nlohmann::json config = tiny_config();
  config["tie_word_embeddings"] = false;
  write_file(folder / "config.json", config.dump(2));
}

void write_tiny_gguf(const std::filesystem::path& path) {
  GgufBuilder builder;
  builder.key_string("general.architecture", "llama");
  builder.key_u32("llama.block_count", kLayers);
  builder.key_u32("llama.embedding_length", kHidden);
  builder.key_u32("llama.feed_forward_length", kMlp);
  builder.key_u32("llama.attention.head_count", kHeads);
  builder.key_u32("llama.attention.head_count_kv", kKvHeads);
  builder.key_u32("llama.context_length", 64);
  builder.key_f32("llama.attention.layer_norm_rms_epsilon", 1e-5f);
  builder.key_u32("tokenizer.ggml.eos_token_id", 2);
  std::vector<std::string> tokens;
  for (int i = 0; i < kVocab; ++i) tokens.push_back(fmt::format("t{}", i));
  builder.key_strings("tokenizer.ggml.tokens", tokens);
  builder.tensor("rope_freqs.weight", {2}, 0, as_bytes({1, 1}, DType::kF32));
  for (const TinyTensor& tensor : tiny_tensors()) {
    const bool permuted = tensor.name.find("q_proj") != std::string::npos ||
                          tensor.name.find("k_proj") != std::string::npos;
    std::vector<uint64_t> dims;
    for (int i = tensor.shape.rank(); i-- > 0;)
      dims.push_back(static_cast<uint64_t>(tensor.shape[i]));
    builder.tensor(gguf_name(tensor.name), dims, 0,
                   as_bytes(permuted ? interleave_heads(tensor) : tensor.values, DType::kF32));
  }
  write_file(path, builder.build());
}

}  // namespace octet
