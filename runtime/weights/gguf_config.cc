#include "runtime/weights/gguf_config.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "runtime/formats/ggml_types.h"
#include "runtime/formats/printable.h"
#include "runtime/request/error.h"
#include "runtime/weights/gguf_architectures.h"

namespace octet {
namespace {

using nlohmann::json;

// Keys under which some models keep numbers that are not computed with here.
constexpr std::string_view kRefused[] = {"attention.scale", "attention.clamp_kqv", "logit_scale",
                                         "embedding_scale", "residual_scale"};

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

class Reader {
 public:
  explicit Reader(const GgufFile& file)
      : file_(file), architecture_(find()), config_(json::parse(architecture_.constants)) {}

  json read() {
    for (std::string_view name : kRefused) {
      if (file_.has(key(name))) fail(key(name), "is not supported");
    }
    read_extents();
    read_rotation();
    read_window();
    config_["torch_dtype"] = torch_dtype(file_);
    config_["vocab_size"] = vocabulary_size();
    config_["tie_word_embeddings"] = !has_tensor("output.weight");
    for (const char* id : {"bos_token_id", "eos_token_id"}) {
      const std::string name = fmt::format("tokenizer.ggml.{}", id);
      if (file_.has(name)) config_[id] = file_.get<uint64_t>(name);
    }
    return std::move(config_);
  }

 private:
  const GgufArchitecture& find() const {
    const auto name = file_.get<std::string>("general.architecture");
    const GgufArchitecture* found = find_gguf_architecture(name);
    if (found == nullptr) {
      fail("general.architecture", fmt::format("is {}; known: {}", printable(name),
                                               fmt::join(known_gguf_architectures(), ", ")));
    }
    return *found;
  }

  [[noreturn]] void fail(const std::string& key, const std::string& what) const {
    throw InputError(fmt::format("{}: key '{}' {}", file_.path().string(), key, what));
  }

  std::string key(std::string_view name) const {
    return fmt::format("{}.{}", architecture_.name, name);
  }

  bool has_tensor(std::string_view name) const {
    return std::ranges::find(file_.tensors(), name, &GgufTensor::name) != file_.tensors().end();
  }

  void read_extents() {
    const ConfigKeys& names = architecture_.keys;
    const auto count = [&](std::string_view from, const char* to) {
      config_[to] = file_.get<uint64_t>(key(from));
    };
    count("embedding_length", names.hidden_size);
    count("feed_forward_length", names.intermediate_size);
    count("block_count", names.num_hidden_layers);
    count("attention.head_count", names.num_attention_heads);
    count("context_length", names.max_position_embeddings);
    if (file_.has(key("attention.head_count_kv"))) {
      count("attention.head_count_kv", architecture_.num_key_value_heads);
    }
    if (file_.has(key("attention.key_length"))) count("attention.key_length", "head_dim");
    if (file_.has(key("attention.value_length")) &&
        file_.get<uint64_t>(key("attention.value_length")) != head_dim()) {
      fail(key("attention.value_length"),
           fmt::format("is not the {} of a head of keys", head_dim()));
    }
    config_[names.norm_eps] = file_.get<double>(key(architecture_.norm_eps));
    config_["model_type"] = architecture_.model_type;
    if (architecture_.name == "falcon") {
      config_["num_ln_in_parallel_attn"] = has_tensor("blk.0.attn_norm_2.weight") ? 2 : 1;
    } else if (architecture_.name == "gptneox") {
      config_["use_parallel_residual"] = file_.get<bool>(key("use_parallel_residual"));
    } else if (architecture_.name == "llama") {
      config_["attention_bias"] = has_tensor("blk.0.attn_q.bias");
      config_["mlp_bias"] = has_tensor("blk.0.ffn_up.bias");
    }
  }

  uint64_t head_dim() const {
    const auto heads = file_.get<uint64_t>(key("attention.head_count"));
    const auto hidden = file_.get<uint64_t>(key("embedding_length"));
    if (heads == 0) fail(key("attention.head_count"), "is 0");
    return file_.get_or<uint64_t>(key("attention.key_length"), hidden / heads);
  }

  void read_rotation() {
    if (architecture_.rotation == GgufRotation::kNone) return;
    const std::string dimensions = key("rope.dimension_count");
    const uint64_t head = head_dim(), rotary = file_.get_or<uint64_t>(dimensions, head);
    if (architecture_.rotation == GgufRotation::kWhole && rotary != head) {
      fail(dimensions, fmt::format("is {}, not the head_dim {}", rotary, head));
    }
    if (architecture_.rotation == GgufRotation::kShare) {
      if (rotary > head) fail(dimensions, fmt::format("is {}, a head has {}", rotary, head));
      config_["rotary_pct"] = share(rotary, head);
    }
    config_["rope_theta"] = file_.get_or<double>(key("rope.freq_base"), 10000.0);
    read_scaling();
  }

  // The number of which `count` of `of` are left after rounding down.
  static double share(uint64_t count, uint64_t of) {
    if (of == 0) return 0;
    const double nearest = static_cast<double>(count) / static_cast<double>(of);
    const bool kept = static_cast<uint64_t>(static_cast<double>(of) * nearest) == count;
    return kept ? nearest : std::nextafter(nearest, 1.0);
  }

  // Older files have a factor and no type.
  void read_scaling() {
    const double factor = file_.get_or<double>(key("rope.scaling.factor"),
                                               file_.get_or<double>(key("rope.scale_linear"), 1.0));
    const auto type = file_.get_or<std::string>(key("rope.scaling.type"), "linear");
    if (type == "none" || (type == "linear" && (factor == 0 || factor == 1))) return;
    if (type != "linear") {
      fail(key("rope.scaling.type"), fmt::format("is {}; known: none, linear", printable(type)));
    }
    config_["rope_scaling"] = {{"rope_type", "linear"}, {"factor", factor}};
  }

  void read_window() {
    const std::string name = key("attention.sliding_window");
    const auto window = file_.get_or<uint64_t>(name, 0);
    if (window == 0) return;
    if (architecture_.windowed_model_type.empty()) {
      fail(name, fmt::format("is {}; {} is read without one", window, architecture_.name));
    }
    config_["model_type"] = architecture_.windowed_model_type;
    config_["sliding_window"] = window;
  }

  uint64_t vocabulary_size() const {
    constexpr const char* kTokens = "tokenizer.ggml.tokens";
    return file_.has(kTokens) ? file_.get<std::vector<std::string>>(kTokens).size()
                              : file_.get<uint64_t>(key("vocab_size"));
  }

  const GgufFile& file_;
  const GgufArchitecture& architecture_;
  json config_;
};

}  // namespace

json gguf_config(const GgufFile& file) { return Reader(file).read(); }

// The published models' low_freq_factor and high_freq_factor, and the context that explains the
// factors. Frequencies fall, so the last factor is the whole one.
json rope_scaling_of(std::span<const float> factors, double rope_theta, const GgufFile& file) {
  if (std::ranges::all_of(factors, [](float factor) { return factor == 1; })) return nullptr;
  constexpr double kLow = 1, kHigh = 4;
  const double factor = factors.back(), count = static_cast<double>(factors.size());
  for (int context = 16; context <= 1 << 20; context *= 2) {
    const auto explained = [&](size_t i) {
      const double waves =
          context * std::pow(rope_theta, -static_cast<double>(i) / count) / (2 * std::acos(-1.0));
      const double kept = std::clamp((waves - kLow) / (kHigh - kLow), 0.0, 1.0);
      const double expected = 1 / ((1 - kept) / factor + kept);
      return std::abs(factors[i] - expected) <= 1e-4 * expected;
    };
    size_t i = 0;
    while (i < factors.size() && explained(i)) ++i;
    if (i == factors.size()) {
      return {{"rope_type", "llama3"},
              {"factor", factor},
              {"low_freq_factor", kLow},
              {"high_freq_factor", kHigh},
              {"original_max_position_embeddings", context}};
    }
  }
  throw InputError(fmt::format("{}: tensor 'rope_freqs.weight': not the factors of Llama 3",
                               file.path().string()));
}

}  // namespace octet
