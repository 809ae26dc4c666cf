// Folders that bitsandbytes or compressed-tensors made int8: delivered in the artefact's form,
// passed through by quantize, and everything else that they can be refused by name.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <functional>

#include "tests/formats/expect_input_error.h"
#include "tests/weights/artefact_helpers.h"
#include "tests/weights/int8_folders.h"

namespace octet {
namespace {

namespace fs = std::filesystem;

class Int8FolderTest : public testing::Test {
 protected:
  void SetUp() override {
    write_tiny_folder(folder_ / "float", DType::kBF16);
    quantize(folder_ / "float", first_);
    write_tiny_folder(in_, DType::kBF16);  // for its companions
  }
  void write(const StoredTensors& tensors, const nlohmann::json& quantization) {
    auto config = tiny_config();
    config["quantization_config"] = quantization;
    write_file(in_ / "config.json", config.dump());
    write_safetensors(in_, tensors);
  }
  void expect_int8(const std::function<float(float)>& scale_of) {
    const auto expected = Checkpoint::open(first_), checkpoint = Checkpoint::open(in_);
    ASSERT_EQ(checkpoint->tensors().size(), expected->tensors().size());
    for (const TensorInfo& info : expected->tensors()) {
      const Tensor a = read_whole(*expected, info.name), b = read_whole(*checkpoint, info.name);
      ASSERT_EQ(a.shape(), b.shape()) << info.name;
      ASSERT_EQ(a.dtype(), b.dtype()) << info.name;
      if (info.name.ends_with("_scale")) {
        for (float& value : a.span<float>()) value = scale_of(value);
      }
      EXPECT_EQ(std::memcmp(a.raw_data(), b.raw_data(), a.bytes()), 0) << info.name;
    }
  }

  TempFolder folder_;
  const fs::path first_ = folder_ / "first", in_ = folder_ / "in", out_ = folder_ / "out";
};

TEST_F(Int8FolderTest, Bitsandbytes_IsWeightAndScale_InBothFormats) {
  const StoredTensors tensors = as_bitsandbytes(read_stored(first_));
  write(tensors, bitsandbytes_config());
  const auto scale_of = [](float scale) { return scale * 127 / 127; };
  expect_int8(scale_of);
  write_torch(in_, tensors, 2);
  expect_int8(scale_of);
  EXPECT_EQ(Checkpoint::open(in_)->find("model.layers.0.mlp.up_proj.SCB"), nullptr);
}

TEST_F(Int8FolderTest, CompressedTensors_TakeScalesOfAnyFloatTypeAndShape) {
  for (DType dtype : {DType::kF32, DType::kBF16, DType::kF16}) {
    for (bool column : {false, true}) {
      write(as_compressed(read_stored(first_), dtype, column), compressed_config());
      expect_int8([&](float scale) { return rounded(scale, dtype); });
    }
  }
}

TEST_F(Int8FolderTest, OneScale_IsEveryRows) {
  StoredTensors tensors = read_stored(first_);
  float first = 0;
  for (StoredTensor& tensor : tensors) {
    if (!tensor.name.ends_with("_scale")) continue;
    tensor.shape = Shape{1};
    tensor.bytes.resize(sizeof(float));
    std::memcpy(&first, tensor.bytes.data(), sizeof(float));
  }
  auto config = compressed_config();
  config["config_groups"]["group_0"]["weights"]["strategy"] = "tensor";
  write(tensors, config);
  const auto checkpoint = Checkpoint::open(in_);
  const Tensor scales = read_whole(*checkpoint, "model.layers.1.self_attn.v_proj.weight_scale");
  EXPECT_EQ(scales.numel(), 12);
  for (float scale : scales.span<float>()) EXPECT_EQ(scale, first);
}

// Also a -128, which Octet's own rounding never gives.
TEST_F(Int8FolderTest, Quantize_PassesWeightsAndScalesThrough_BitForBit) {
  StoredTensors tensors = read_stored(first_);
  tensor_in(tensors, "model.layers.0.mlp.up_proj.weight").bytes[5] = '\x80';
  write(tensors, compressed_config());
  const QuantizeReport report = quantize(in_, out_);
  EXPECT_EQ(report.tensors, 20);
  EXPECT_EQ(report.quantized, 14);
  read_everything(out_);  // with every checksum
  const StoredTensors stored = read_stored(out_);
  ASSERT_EQ(stored.size(), tensors.size());
  for (size_t i = 0; i < stored.size(); ++i) {
    EXPECT_EQ(stored[i].name, tensors[i].name);
    EXPECT_EQ(stored[i].dtype, tensors[i].dtype) << stored[i].name;
    EXPECT_EQ(stored[i].bytes, tensors[i].bytes) << stored[i].name;
  }
}

TEST_F(Int8FolderTest, LayersThatWereLeftFloat_StayFloat_AndQuantizeRoundsThem) {
  StoredTensors tensors = read_stored(first_);
  const StoredTensors floats = read_stored(folder_ / "float");
  const std::string name = "model.layers.1.mlp.down_proj.weight";
  std::erase_if(tensors, [&](const StoredTensor& t) { return t.name == name + "_scale"; });
  tensor_in(tensors, name) = *std::ranges::find(floats, name, &StoredTensor::name);
  write(tensors, compressed_config());
  EXPECT_EQ(Checkpoint::open(in_)->find(name)->dtype, DType::kBF16);
  quantize(in_, out_);
  EXPECT_EQ(read_stored(out_).size(), read_stored(first_).size());
  tensors = read_stored(out_);
  StoredTensors expected = read_stored(first_);
  EXPECT_EQ(tensor_in(tensors, name).bytes, tensor_in(expected, name).bytes);
}

TEST_F(Int8FolderTest, AHeadThatIsInt8Already_PassesThrough_WhereItIsNotTied) {
  write_untied_folder(in_);
  const auto config = nlohmann::json::parse(read_file(in_ / "config.json"));
  quantize(in_, folder_ / "head", {.int8_head = true, .progress = {}});
  const StoredTensors tensors = read_stored(folder_ / "head");
  const auto write_with = [&](const nlohmann::json& base) {
    auto quantized = base;
    quantized["quantization_config"] = compressed_config();
    write_file(in_ / "config.json", quantized.dump());
    write_safetensors(in_, tensors);
  };
  write_with(config);
  for (const bool int8_head : {false, true}) {
    const fs::path out = folder_ / (int8_head ? "int8" : "keep");
    quantize(in_, out, {.int8_head = int8_head, .progress = {}});
    const StoredTensors stored = read_stored(out);
    ASSERT_EQ(stored.size(), tensors.size());
    for (size_t i = 0; i < stored.size(); ++i) {
      EXPECT_EQ(stored[i].name, tensors[i].name);
      EXPECT_EQ(stored[i].bytes, tensors[i].bytes) << stored[i].name;
    }
  }
  write_with(tiny_config());
  EXPECT_INPUT_ERROR(quantize(in_, out_), in_.string(), "'lm_head.weight'",
                     "differs from the embedding");
}

TEST_F(Int8FolderTest, TheHeadOfInt8Layers_IsRoundedWhereAskedFor) {
  write(read_stored(first_), compressed_config());
  quantize(in_, out_, {.int8_head = true, .progress = {}});
  quantize(folder_ / "float", folder_ / "expected", {.int8_head = true, .progress = {}});
  StoredTensors expected = read_stored(folder_ / "expected");
  const StoredTensors stored = read_stored(out_);
  ASSERT_EQ(stored.size(), expected.size());
  for (const StoredTensor& tensor : stored) {
    EXPECT_EQ(tensor.bytes, tensor_in(expected, tensor.name).bytes) << tensor.name;
  }
}

struct Malformed {
  const char* what;
  bool bitsandbytes;
  std::function<void(StoredTensors&)> damage;
  std::vector<std::string> message;
};

const std::string kUpProjection = "model.layers.0.mlp.up_proj";

void erase(StoredTensors& tensors, const std::string& name) {
  std::erase_if(tensors, [&](const StoredTensor& tensor) { return tensor.name == name; });
}
std::string floats(std::initializer_list<float> values) {
  return {reinterpret_cast<const char*>(values.begin()), values.size() * sizeof(float)};
}

const Malformed kMalformed[] = {
    {"no SCB",
     true,
     [](auto& t) { erase(t, kUpProjection + ".SCB"); },
     {kUpProjection + ".weight'", "without"}},
    {"SCB alone",
     true,
     [](auto& t) {
       t.push_back({"model.norm.SCB", DType::kF32, Shape{1}, "1234"});
     },
     {"'model.norm.SCB'", "belongs to no int8 weight"}},
    {"SCB of another shape",
     true,
     [](auto& t) {
       tensor_in(t, kUpProjection + ".SCB").shape = Shape{10};
       tensor_in(t, kUpProjection + ".SCB").bytes.resize(40);
     },
     {kUpProjection + ".SCB'", "F32 [10] is not F32 [20]"}},
    {"layout",
     true,
     [](auto& t) { tensor_in(t, kUpProjection + ".weight_format").bytes = "\2"; },
     {kUpProjection + ".weight_format'", "2 (col_turing)", "only row"}},
    {"unknown layout",
     true,
     [](auto& t) { tensor_in(t, kUpProjection + ".weight_format").bytes = "\7"; },
     {kUpProjection + ".weight_format'", "7 (unknown)"}},
    {"two scales",
     true,
     [](auto& t) {
       t.push_back({kUpProjection + ".weight_scale", DType::kF32, Shape{1}, "1234"});
     },
     {kUpProjection + ".weight_scale'", "second scale"}},
    {"no scale",
     false,
     [](auto& t) { erase(t, kUpProjection + ".weight_scale"); },
     {kUpProjection + ".weight'", "int8 without", kUpProjection + ".weight_scale"}},
    {"scale alone",
     false,
     [](auto& t) { erase(t, kUpProjection + ".weight"); },
     {kUpProjection + ".weight_scale'", "belongs to no int8 weight"}},
    {"groups",
     false,
     [](auto& t) {
       tensor_in(t, kUpProjection + ".weight_scale").shape = Shape{20, 2};
       tensor_in(t, kUpProjection + ".weight_scale").bytes.resize(160);
     },
     {kUpProjection + ".weight_scale'", "F32 [20, 2]"}},
    {"zero point",
     false,
     [](auto& t) {
       t.push_back(
           {kUpProjection + ".weight_zero_point", DType::kI8, Shape{20, 1}, std::string(20, 'z')});
     },
     {kUpProjection + ".weight_zero_point'", "zero points"}},
    {"static activations",
     false,
     [](auto& t) {
       t.push_back({kUpProjection + ".input_scale", DType::kF32, Shape{1}, "1234"});
     },
     {kUpProjection + ".input_scale'", "not supported"}},
    {"a vector",
     false,
     [](auto& t) { tensor_in(t, kUpProjection + ".weight").shape = Shape{480}; },
     {kUpProjection + ".weight'", "I8 [480] is not a matrix"}},
    {"int8 embedding",
     false,
     [](auto& t) {
       StoredTensor& table = tensor_in(t, "model.embed_tokens.weight");
       table.dtype = DType::kI8;
       table.bytes.resize(40 * 24);
       t.push_back({"model.embed_tokens.weight_scale", DType::kF32, Shape{1}, floats({1})});
     },
     {"'model.embed_tokens.weight'", "only matrices of the layers"}},
    {"not a number",
     false,
     [](auto& t) {
       tensor_in(t, kUpProjection + ".weight_scale").bytes.replace(8, 4, floats({NAN}));
     },
     {kUpProjection + ".weight_scale'", "element [2] is nan"}},
    {"negative",
     false,
     [](auto& t) {
       tensor_in(t, kUpProjection + ".weight_scale").bytes.replace(0, 4, floats({-1}));
     },
     {kUpProjection + ".weight_scale'", "element [0] is -1"}},
};

TEST_F(Int8FolderTest, WhatWouldChangeTheNumbers_IsNamed) {
  for (const auto& [what, bitsandbytes, damage, message] : kMalformed) {
    SCOPED_TRACE(what);
    StoredTensors tensors = read_stored(first_);
    if (bitsandbytes) tensors = as_bitsandbytes(tensors);
    damage(tensors);
    write(tensors, bitsandbytes ? bitsandbytes_config() : compressed_config());
    for (const std::string& part : message) {
      EXPECT_INPUT_ERROR(quantize(in_, out_), in_.string(), part);
    }
  }
}

TEST_F(Int8FolderTest, OtherQuantizations_AreRefusedByTheirField) {
  using nlohmann::json;
  const auto changed = [](const char* pointer, json value) {
    json config = compressed_config();
    config[json::json_pointer(pointer)] = std::move(value);
    return config;
  };
  const std::string weights = "/config_groups/group_0/weights/",
                    activations = "/config_groups/group_0/input_activations/";
  const std::pair<json, std::string> cases[] = {
      {{{"quant_method", "gptq"}, {"bits", 8}}, "quant_method is 'gptq'"},
      {{{"bits", 8}}, "quant_method is ''"},
      {{{"quant_method", "bitsandbytes"}}, "load_in_8bit is not true"},
      {{{"load_in_8bit", true}, {"load_in_4bit", true}}, "load_in_4bit"},
      {changed("/format", "pack-quantized"), "format is '\"pack-quantized\"'"},
      {changed("/quantization_status", "frozen"), "quantization_status"},
      {changed("/kv_cache_scheme", {{"num_bits", 8}}), "kv_cache_scheme"},
      {changed("/transform_config", {{"r1", {}}}), "transform_config"},
      {changed("/sparsity_config", {{"format", "sparse-24-bitmask"}}), "sparsity_config: format"},
      {changed("/config_groups", json::object()), "config_groups is not"},
      {changed((weights + "num_bits").c_str(), 4), "'group_0': weights: num_bits is '4'"},
      {changed((weights + "type").c_str(), "float"), "weights: type"},
      {changed((weights + "symmetric").c_str(), false), "weights: symmetric is 'false'"},
      {changed((weights + "strategy").c_str(), "group"), "weights: strategy is '\"group\"'"},
      {changed((weights + "group_size").c_str(), 128), "weights: group_size"},
      {changed((weights + "actorder").c_str(), "group"), "weights: actorder"},
      {changed((activations + "dynamic").c_str(), false), "input_activations: dynamic"},
      {changed((activations + "strategy").c_str(), "tensor"), "input_activations: strategy"},
      {changed("/config_groups/group_0/output_activations", {{"num_bits", 8}}), "output_activ"},
  };
  for (const auto& [config, message] : cases) {
    write(read_stored(first_), config);
    EXPECT_INPUT_ERROR(Checkpoint::open(in_),
                       (in_ / "config.json").string() + ": quantization_config: ", message);
  }
}

}  // namespace
}  // namespace octet
