#include "runtime/weights/model_args.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "runtime/formats/printable.h"
#include "runtime/request/error.h"
#include "runtime/weights/config_fields.h"

namespace octet {
namespace {

using nlohmann::json;

constexpr std::pair<std::string_view, Activation> kActivations[] = {
    {"relu", Activation::kRelu},
    {"gelu", Activation::kGelu},
    {"gelu_new", Activation::kGeluTanh},
    {"gelu_fast", Activation::kGeluTanh},
    {"gelu_pytorch_tanh", Activation::kGeluTanh},
    {"silu", Activation::kSiluGate},
    {"swish", Activation::kSiluGate},
};

Activation parse_activation(const ConfigFields& fields, const ConfigKeys& keys) {
  const std::string name = fields.string_or(keys.activation, keys.default_activation);
  for (const auto& [known, activation] : kActivations) {
    if (name == known) return activation;
  }
  fields.fail(keys.activation, fmt::format("is {}, not a known activation", printable(name)));
}

// Rotations that are not built would give other numbers: refused, not ignored.
void parse_scaling(const ConfigFields& fields, const char* key, const std::string& source,
                   ModelArgs& args) {
  const json* rope = fields.find(key);
  if (rope == nullptr) return;
  if (!rope->is_object()) fields.fail(key, "is not an object");
  const ConfigFields inner(*rope, fmt::format("{}: {}", source, key));
  args.rope_theta = inner.positive_or("rope_theta", args.rope_theta, 1e15);
  const std::string type = inner.string_or("rope_type", inner.string_or("type", "default"));
  RopeScaling& scaling = args.rope_scaling;
  if (type == "default") return;
  if (type == "linear") {
    scaling = {.kind = RopeScaling::Kind::kLinear, .factor = inner.positive("factor", 1e6)};
  } else if (type == "llama3") {
    scaling = {.kind = RopeScaling::Kind::kLlama3,
               .factor = inner.positive("factor", 1e6),
               .low_freq_factor = inner.positive("low_freq_factor", 1e6),
               .high_freq_factor = inner.positive("high_freq_factor", 1e6),
               .original_max_position_embeddings =
                   inner.extent("original_max_position_embeddings", 1 << 27)};
    if (scaling.high_freq_factor <= scaling.low_freq_factor) {
      inner.fail("high_freq_factor",
                 fmt::format("is {}, not more than low_freq_factor {}", scaling.high_freq_factor,
                             scaling.low_freq_factor));
    }
  } else {
    fields.fail(key, fmt::format("of type {} is not supported", printable(type)));
  }
}

void check_heads(const ConfigFields& fields, const ConfigKeys& keys, const ModelArgs& args) {
  if (args.num_attention_heads % args.num_key_value_heads != 0) {
    fields.fail(keys.num_attention_heads,
                fmt::format("is {}, not a multiple of num_key_value_heads {}",
                            args.num_attention_heads, args.num_key_value_heads));
  }
  if (int64_t{args.num_attention_heads} * args.head_dim > ConfigFields::kMaxExtent) {
    fields.fail(keys.num_attention_heads,
                fmt::format("{} x head_dim {} is more than {}", args.num_attention_heads,
                            args.head_dim, ConfigFields::kMaxExtent));
  }
}

}  // namespace

ModelArgs parse_model_args(const json& config, const std::string& source, const ConfigKeys& keys) {
  const ConfigFields fields(config, source);
  ModelArgs args;
  args.model_type = fields.string_or("model_type", "");
  args.torch_dtype = fields.string_or("torch_dtype", fields.string_or("dtype", args.torch_dtype));
  args.hidden_size = fields.extent(keys.hidden_size);
  args.intermediate_size =
      keys.default_mlp_ratio > 0
          ? fields.extent_or(keys.intermediate_size, keys.default_mlp_ratio * args.hidden_size)
          : fields.extent(keys.intermediate_size);
  args.num_hidden_layers = fields.extent(keys.num_hidden_layers, 10'000);
  args.num_attention_heads = fields.extent(keys.num_attention_heads);
  args.num_key_value_heads = fields.extent_or("num_key_value_heads", args.num_attention_heads);
  if (fields.find("head_dim") == nullptr && args.hidden_size % args.num_attention_heads != 0) {
    fields.fail(keys.hidden_size, fmt::format("is {}, not a multiple of {} {}", args.hidden_size,
                                              keys.num_attention_heads, args.num_attention_heads));
  }
  args.head_dim = fields.extent_or("head_dim", args.hidden_size / args.num_attention_heads);
  args.vocab_size = fields.extent("vocab_size");
  args.max_position_embeddings =
      keys.default_max_positions > 0 && fields.find(keys.max_position_embeddings) == nullptr
          ? keys.default_max_positions
          : fields.extent(keys.max_position_embeddings, 1 << 27);
  args.norm_eps = static_cast<float>(fields.positive_or(keys.norm_eps, keys.default_norm_eps, 1));
  args.activation = parse_activation(fields, keys);
  args.tie_word_embeddings = fields.boolean_or("tie_word_embeddings", keys.tie_word_embeddings);
  args.eos_token_ids = fields.ids("eos_token_id", args.vocab_size);
  check_heads(fields, keys, args);
  return args;
}

int rotary_dim(const json& config, const std::string& source, const char* key, double fallback,
               int head_dim) {
  const ConfigFields fields(config, source);
  double share = fields.positive_or(key, fallback, 1);
  for (const char* nested : {"rope_scaling", "rope_parameters"}) {
    const json* rope = fields.find(nested);
    if (rope == nullptr || !rope->is_object()) continue;
    share = ConfigFields(*rope, fmt::format("{}: {}", source, nested))
                .positive_or("partial_rotary_factor", share, 1);
  }
  return static_cast<int>(head_dim * share);
}

void parse_rope(const json& config, const std::string& source, int rotary_dim, ModelArgs& args) {
  const ConfigFields fields(config, source);
  if (rotary_dim < 2 || rotary_dim % 2 != 0 || rotary_dim > args.head_dim) {
    fields.fail("rotary_dim", fmt::format("is {}, must be even and from 2 to head_dim {}",
                                          rotary_dim, args.head_dim));
  }
  args.rotary_dim = rotary_dim;
  args.rope_theta =
      fields.positive_or(fields.first_of({"rope_theta", "rotary_emb_base"}), args.rope_theta, 1e15);
  parse_scaling(fields, "rope_scaling", source, args);
  parse_scaling(fields, "rope_parameters", source, args);
}

}  // namespace octet
