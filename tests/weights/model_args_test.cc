#include <gtest/gtest.h>

#include "runtime/models/family.h"
#include "tests/formats/expect_input_error.h"
#include "tests/weights/tiny_model.h"

namespace octet {
namespace {

using nlohmann::json;

TEST(ModelArgs, WhatConfigLacks_IsDerived) {
  json config = tiny_config();
  config.erase("num_key_value_heads");
  config.erase("eos_token_id");
  config["head_dim"] = nullptr;
  config.erase("rms_norm_eps");
  const ModelArgs args = parse_llama(config, "config.json");
  EXPECT_EQ(args.num_key_value_heads, 6);
  EXPECT_EQ(args.head_dim, 4);
  EXPECT_TRUE(args.eos_token_ids.empty());
  EXPECT_TRUE(args.tie_word_embeddings);
  EXPECT_EQ(args.rope_theta, 10000.0);
  EXPECT_EQ(args.norm_eps, 1e-6f);  // LLaMA's; most others' is 1e-5
}

TEST(ModelArgs, NewerSpellings_AreRead) {
  json config = tiny_config();
  config["eos_token_id"] = {3, 5};
  config["head_dim"] = 8;
  config["rope_parameters"] = {{"rope_type", "default"}, {"rope_theta", 5e5}};
  config.erase("torch_dtype");
  config["dtype"] = "float16";
  const ModelArgs args = parse_llama(config, "config.json");
  EXPECT_EQ(args.eos_token_ids, (std::vector<int32_t>{3, 5}));
  EXPECT_EQ(args.head_dim, 8);
  EXPECT_EQ(args.rope_theta, 5e5);
  EXPECT_EQ(args.torch_dtype, "float16");
}

TEST(ModelArgs, BadField_IsNamed) {
  const struct {
    const char* key;
    json value;
    const char* message;
  } cases[] = {
      {"hidden_size", nullptr, "hidden_size is missing"},
      {"hidden_size", 0, "hidden_size is '0'"},
      {"hidden_size", -24, "hidden_size is '-24'"},
      {"hidden_size", 24.5, "hidden_size is not an integer"},
      {"hidden_size", "24", "hidden_size is not an integer"},
      {"hidden_size", 25, "hidden_size is 25, not a multiple of num_attention_heads 6"},
      {"vocab_size", 1u << 31, "vocab_size is '2147483648'"},
      {"vocab_size", UINT64_MAX, "vocab_size is '18446744073709551615'"},
      {"num_hidden_layers", 1 << 20, "num_hidden_layers is"},
      {"num_key_value_heads", 4, "not a multiple of num_key_value_heads 4"},
      {"head_dim", 1 << 24, "head_dim 16777216 is more than"},
      {"rms_norm_eps", 0, "rms_norm_eps is 0"},
      {"rms_norm_eps", "small", "rms_norm_eps is not a number"},
      {"rope_theta", -1.0, "rope_theta is -1"},
      {"tie_word_embeddings", 1, "tie_word_embeddings is not true or false"},
      {"eos_token_id", 40, "eos_token_id is '40', not in [0, 39]"},
      {"eos_token_id", json::array({1, "x"}), "eos_token_id is not an integer"},
      {"rope_scaling", json{{"rope_type", "llama3"}}, "rope_scaling: factor is missing"},
      {"rope_scaling", json{{"rope_type", "dynamic"}}, "rope_scaling of type 'dynamic'"},
      {"hidden_act", "tanh", "hidden_act is 'tanh', not a known activation"},
      {"rope_scaling", 3, "rope_scaling is not an object"},
  };
  for (const auto& [key, value, message] : cases) {
    json config = tiny_config();
    config[key] = value;
    EXPECT_INPUT_ERROR(parse_llama(config, "m/config.json"), "m/config.json: ", message);
  }
  EXPECT_INPUT_ERROR(parse_llama(json::array(), "m/config.json"), "not a JSON object");
}

}  // namespace
}  // namespace octet
