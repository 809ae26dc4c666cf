#include "tests/models/stories260k.h"

#include <fmt/format.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include "runtime/formats/gguf_file.h"
#include "runtime/formats/safetensors_writer.h"

namespace octet::testing {
namespace {

namespace fs = std::filesystem;

template <typename T>
T read(std::ifstream& in) {
  T value;
  if (!in.read(reinterpret_cast<char*>(&value), sizeof value))
    throw std::runtime_error("short file");
  return value;
}

// tok512.bin: the longest piece's bytes, then for each piece its score, length and bytes.
void write_vocabulary(const fs::path& from, const fs::path& to, int vocab_size) {
  std::ifstream in(from, std::ios::binary);
  read<int32_t>(in);
  std::vector<std::string> pieces;
  std::vector<double> scores;
  std::vector<int64_t> types;
  for (int id = 0; id < vocab_size; ++id) {
    scores.push_back(read<float>(in));
    std::string piece(read<int32_t>(in), '\0');
    in.read(piece.data(), static_cast<std::streamsize>(piece.size()));
    // llama2.c wrote plain spaces; a vocabulary has U+2581 for them.
    std::string spelled;
    for (const char c : piece) spelled += c == ' ' ? "\xE2\x96\x81" : std::string(1, c);
    if (id == 1) spelled = "<s>";
    if (id == 2) spelled = "</s>";
    pieces.push_back(spelled);
    types.push_back(id == 0 ? 2 : id < 3 ? 3 : id < 259 ? 6 : 1);
  }
  write_gguf_metadata(to, {{"general.architecture", std::string("llama")},
                           {"tokenizer.ggml.model", std::string("llama")},
                           {"tokenizer.ggml.tokens", pieces},
                           {"tokenizer.ggml.scores", scores},
                           {"tokenizer.ggml.token_type", types},
                           {"tokenizer.ggml.bos_token_id", uint64_t{1}},
                           {"tokenizer.ggml.unknown_token_id", uint64_t{0}}});
}

}  // namespace

fs::path stories260k_data() {
  return fs::path(OCTET_SOURCE_DIR) / "../shared/data/models/stories260K";
}

fs::path convert_stories260k(const fs::path& folder) {
  fs::create_directories(folder);
  std::ifstream in(stories260k_data() / "stories260K.bin", std::ios::binary);
  const int64_t dim = read<int32_t>(in), hidden = read<int32_t>(in), layers = read<int32_t>(in);
  const int64_t heads = read<int32_t>(in), kv_heads = read<int32_t>(in), vocab = read<int32_t>(in);
  const int64_t length = read<int32_t>(in), kv = dim / heads * kv_heads;

  // In the file's order; "{}" is a layer.
  const std::vector<std::pair<std::string, Shape>> order{
      {"model.embed_tokens.weight", {vocab, dim}},
      {"model.layers.{}.input_layernorm.weight", {dim}},
      {"model.layers.{}.self_attn.q_proj.weight", {dim, dim}},
      {"model.layers.{}.self_attn.k_proj.weight", {kv, dim}},
      {"model.layers.{}.self_attn.v_proj.weight", {kv, dim}},
      {"model.layers.{}.self_attn.o_proj.weight", {dim, dim}},
      {"model.layers.{}.post_attention_layernorm.weight", {dim}},
      {"model.layers.{}.mlp.gate_proj.weight", {hidden, dim}},
      {"model.layers.{}.mlp.down_proj.weight", {dim, hidden}},
      {"model.layers.{}.mlp.up_proj.weight", {hidden, dim}},
      {"model.norm.weight", {dim}}};
  std::vector<SafetensorsSpec> specs;
  for (const auto& [name, shape] : order) {
    const int64_t copies = name.find("{}") == name.npos ? 1 : layers;
    for (int64_t i = 0; i < copies; ++i)
      specs.push_back({fmt::format(fmt::runtime(name), i), DType::kF32, shape});
  }
  SafetensorsWriter writer(folder / "model.safetensors", specs);
  for (const SafetensorsSpec& spec : specs) {
    std::vector<float> values(spec.shape.numel());
    in.read(reinterpret_cast<char*>(values.data()),
            static_cast<std::streamsize>(values.size() * sizeof(float)));
    if (!in) throw std::runtime_error("short file");
    writer.write(spec.name, 0, std::as_bytes(std::span(values)));
  }
  const nlohmann::json config{{"model_type", "llama"},        {"hidden_size", dim},
                              {"intermediate_size", hidden},  {"num_hidden_layers", layers},
                              {"num_attention_heads", heads}, {"num_key_value_heads", kv_heads},
                              {"vocab_size", vocab},          {"max_position_embeddings", length},
                              {"rms_norm_eps", 1e-5},         {"rope_theta", 10000.0},
                              {"rope_interleaved", true},     {"tie_word_embeddings", true},
                              {"torch_dtype", "float32"}};
  std::ofstream(folder / "config.json") << config.dump(2);
  write_vocabulary(stories260k_data() / "tok512.bin", folder / "tokenizer.gguf",
                   static_cast<int>(vocab));
  return folder;
}

}  // namespace octet::testing
