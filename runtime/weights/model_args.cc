#include "runtime/weights/model_args.h"

#include <fmt/format.h>

#include <cmath>
#include <cstdint>
#include <nlohmann/json.hpp>

#include "runtime/formats/printable.h"
#include "runtime/request/error.h"

namespace octet {
namespace {

using nlohmann::json;

constexpr int kMaxExtent = 1 << 24;  // of any one dimension

class Fields {
 public:
  Fields(const json& config, const std::string& source) : config_(config), source_(source) {
    if (!config.is_object()) throw InputError(source + ": not a JSON object");
  }

  [[noreturn]] void fail(const char* key, const std::string& what) const {
    throw InputError(fmt::format("{}: {} {}", source_, key, what));
  }

  const json* find(const char* key) const {  // nullptr: missing or null
    const auto found = config_.find(key);
    return found == config_.end() || found->is_null() ? nullptr : &*found;
  }

  int extent(const char* key, int max = kMaxExtent) const {
    const json* value = find(key);
    if (value == nullptr) fail(key, "is missing");
    return static_cast<int>(integer(key, *value, 1, max));
  }
  int extent_or(const char* key, int fallback) const {
    return find(key) != nullptr ? extent(key) : fallback;
  }

  int64_t integer(const char* key, const json& value, int64_t min, int64_t max) const {
    if (!value.is_number_integer()) fail(key, "is not an integer: " + shown(value));
    const bool huge = value.is_number_unsigned() && value.get<uint64_t>() > uint64_t{INT64_MAX};
    if (huge || value.get<int64_t>() < min || value.get<int64_t>() > max) {
      fail(key, fmt::format("is {}, not in [{}, {}]", shown(value), min, max));
    }
    return value.get<int64_t>();
  }

  double positive_or(const char* key, double fallback, double max) const {
    const json* value = find(key);
    if (value == nullptr) return fallback;
    if (!value->is_number()) fail(key, "is not a number: " + shown(*value));
    const double number = value->get<double>();
    if (!(number > 0 && number <= max))
      fail(key, fmt::format("is {}, not in (0, {}]", number, max));
    return number;
  }

  bool boolean_or(const char* key, bool fallback) const {
    const json* value = find(key);
    if (value == nullptr) return fallback;
    if (!value->is_boolean()) fail(key, "is not true or false: " + shown(*value));
    return value->get<bool>();
  }

  std::string string_or(const char* key, std::string fallback) const {
    const json* value = find(key);
    if (value == nullptr) return fallback;
    if (!value->is_string()) fail(key, "is not a string: " + shown(*value));
    return value->get<std::string>();
  }

 private:
  static std::string shown(const json& value) {
    return printable(value.is_structured() ? value.type_name() : value.dump());
  }

  const json& config_;
  const std::string& source_;
};

std::vector<int32_t> parse_eos(const Fields& fields, int vocab_size) {
  constexpr const char* kKey = "eos_token_id";
  std::vector<int32_t> ids;
  const auto add = [&](const json& id) {
    ids.push_back(static_cast<int32_t>(fields.integer(kKey, id, 0, vocab_size - 1)));
  };
  if (const json* value = fields.find(kKey)) {
    if (value->is_array()) {
      for (const json& id : *value) add(id);
    } else {
      add(*value);
    }
  }
  return ids;
}

// Rotations that are not the plain one would give other numbers: refused, not ignored.
void check_plain_rope(const Fields& fields, const char* key, const std::string& source) {
  const json* rope = fields.find(key);
  if (rope == nullptr) return;
  if (!rope->is_object()) fields.fail(key, "is not an object");
  const Fields inner(*rope, source);
  const std::string type = inner.string_or("rope_type", inner.string_or("type", "default"));
  if (type != "default")
    fields.fail(key, fmt::format("of type {} is not supported", printable(type)));
}

void check_heads(const Fields& fields, const ModelArgs& args) {
  if (args.num_attention_heads % args.num_key_value_heads != 0) {
    fields.fail("num_attention_heads",
                fmt::format("is {}, not a multiple of num_key_value_heads {}",
                            args.num_attention_heads, args.num_key_value_heads));
  }
  if (int64_t{args.num_attention_heads} * args.head_dim > kMaxExtent) {
    fields.fail("num_attention_heads",
                fmt::format("{} x head_dim {} is more than {}", args.num_attention_heads,
                            args.head_dim, kMaxExtent));
  }
}

}  // namespace

ModelArgs parse_model_args(const json& config, const std::string& source) {
  const Fields fields(config, source);
  ModelArgs args;
  args.model_type = fields.string_or("model_type", "");
  if (args.model_type.empty()) fields.fail("model_type", "is missing");
  args.torch_dtype = fields.string_or("torch_dtype", fields.string_or("dtype", args.torch_dtype));
  args.hidden_size = fields.extent("hidden_size");
  args.intermediate_size = fields.extent("intermediate_size");
  args.num_hidden_layers = fields.extent("num_hidden_layers", 10'000);
  args.num_attention_heads = fields.extent("num_attention_heads");
  args.num_key_value_heads = fields.extent_or("num_key_value_heads", args.num_attention_heads);
  if (fields.find("head_dim") == nullptr && args.hidden_size % args.num_attention_heads != 0) {
    fields.fail("hidden_size", fmt::format("is {}, not a multiple of num_attention_heads {}",
                                           args.hidden_size, args.num_attention_heads));
  }
  args.head_dim = fields.extent_or("head_dim", args.hidden_size / args.num_attention_heads);
  args.vocab_size = fields.extent("vocab_size");
  args.max_position_embeddings = fields.extent("max_position_embeddings", 1 << 27);
  args.rms_norm_eps = static_cast<float>(fields.positive_or("rms_norm_eps", args.rms_norm_eps, 1));
  args.rope_theta = fields.positive_or("rope_theta", args.rope_theta, 1e15);
  args.rope_interleaved = fields.boolean_or("rope_interleaved", false);
  args.tie_word_embeddings = fields.boolean_or("tie_word_embeddings", false);
  args.attention_bias = fields.boolean_or("attention_bias", false);
  args.eos_token_ids = parse_eos(fields, args.vocab_size);
  check_plain_rope(fields, "rope_scaling", source);
  check_plain_rope(fields, "rope_parameters", source);
  if (const json* rope = fields.find("rope_parameters")) {
    args.rope_theta = Fields(*rope, source).positive_or("rope_theta", args.rope_theta, 1e15);
  }
  check_heads(fields, args);
  return args;
}

}  // namespace octet
