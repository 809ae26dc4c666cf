#include "runtime/weights/quantizer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "runtime/formats/safetensors_folder.h"
#include "runtime/weights/quantize_rows.h"
#include "tests/formats/expect_input_error.h"
#include "tests/formats/temp_folder.h"
#include "tests/weights/artefact_helpers.h"

namespace octet {
namespace {

namespace fs = std::filesystem;

TEST(QuantizeRow, RoundsToNearestEven_ByAbsmax) {
  const std::vector<float> row = {127, -127, 0.5f, 1.5f, -2.5f, 2.4999f, 0};
  std::vector<int8_t> q(row.size());
  EXPECT_EQ(quantize_row(row, q), 1.0f);
  EXPECT_EQ(q, (std::vector<int8_t>{127, -127, 0, 2, -2, 2, 0}));
}

TEST(QuantizeRow, ZerosAndDenormals_StayInRange) {
  std::vector<int8_t> q(3, 1);
  EXPECT_EQ(quantize_row(std::vector<float>{0, -0.0f, 0}, q), 0.0f);
  EXPECT_EQ(q, (std::vector<int8_t>{0, 0, 0}));
  const float tiny = std::numeric_limits<float>::denorm_min();
  for (float scale : {1.0f, 50.0f, 127.0f, 190.0f, 1000.0f}) {
    quantize_row(std::vector<float>{tiny * scale, -tiny * scale, tiny}, q);
    for (int8_t value : q) EXPECT_GE(value, -127);
  }
}

class QuantizerTest : public ::testing::Test {
 protected:
  void SetUp() override { write_tiny_folder(in_, DType::kBF16); }
  TempFolder folder_;
  fs::path in_ = folder_ / "in", out_ = folder_ / "out", partial_ = folder_ / "out.partial";
};

TEST_F(QuantizerTest, Int8_IsTheRoundedRow_AndTheRestIsExact) {
  const QuantizeReport report = quantize(in_, out_);
  EXPECT_EQ(report.tensors, 20);
  EXPECT_EQ(report.quantized, 14);
  EXPECT_EQ(report.resumed, 0);
  uint64_t bytes = 0;
  for (const auto& item : fs::directory_iterator(out_)) bytes += item.file_size();
  EXPECT_EQ(report.bytes_out, bytes);
  EXPECT_FALSE(fs::exists(partial_));

  const auto artefact = Checkpoint::open(out_);
  EXPECT_EQ(artefact->kind(), CheckpointKind::kArtefact);
  EXPECT_EQ(artefact->reduction_shards(), 4);
  for (const TinyTensor& tensor : tiny_tensors()) {
    const Tensor stored = read_whole(*artefact, tensor.name);
    if (tensor.shape.rank() == 1) {
      ASSERT_EQ(stored.dtype(), DType::kF32);
      EXPECT_TRUE(std::ranges::equal(stored.span<float>(), tensor.values)) << tensor.name;
    } else if (tensor.name == "model.embed_tokens.weight") {
      ASSERT_EQ(stored.dtype(), DType::kBF16);
      for (size_t i = 0; i < tensor.values.size(); ++i) {
        EXPECT_EQ(bf16_to_f32(stored.span<uint16_t>()[i]), tensor.values[i]);
      }
    } else {
      ASSERT_EQ(stored.dtype(), DType::kI8);
      const Tensor scales = read_whole(*artefact, tensor.name + "_scale");
      for (int64_t i = 0; i < stored.numel(); ++i) {
        const double scale = scales.span<float>()[static_cast<size_t>(i / tensor.shape[1])];
        const double wanted = tensor.values[static_cast<size_t>(i)];
        EXPECT_LE(std::abs(stored.span<int8_t>()[static_cast<size_t>(i)] * scale - wanted),
                  scale * 0.50001);
      }
    }
  }
}

// Of an artefact's tensors those of another are the same, to the bit.
void expect_all_of(const fs::path& other, const fs::path& artefact,
                   const std::vector<std::string>& but = {}) {
  const auto expected = Checkpoint::open(other), checkpoint = Checkpoint::open(artefact);
  for (const TensorInfo& info : expected->tensors()) {
    if (std::ranges::find(but, info.name) != but.end()) continue;
    ASSERT_NE(checkpoint->find(info.name), nullptr) << info.name;
    ASSERT_EQ(checkpoint->find(info.name)->dtype, info.dtype) << info.name;
    const Tensor a = read_whole(*expected, info.name), b = read_whole(*checkpoint, info.name);
    EXPECT_EQ(std::memcmp(a.raw_data(), b.raw_data(), a.bytes()), 0) << info.name;
  }
}

// The head is these rows of 24 columns, rounded as the layers' weights are, in the vocabulary's
// parts.
void expect_int8_head(const fs::path& path, std::span<const float> values) {
  const auto artefact = Checkpoint::open(path);
  const TensorInfo* head = artefact->find("lm_head.weight");
  ASSERT_NE(head, nullptr);
  ASSERT_EQ(head->dtype, DType::kI8);
  EXPECT_EQ(head->parts, 40);
  EXPECT_EQ(artefact->find("lm_head.weight_scale")->parts, 40);
  const Tensor stored = read_whole(*artefact, "lm_head.weight");
  const Tensor scales = read_whole(*artefact, "lm_head.weight_scale");
  std::vector<int8_t> row(24);
  for (size_t i = 0; i < 40; ++i) {
    EXPECT_EQ(scales.span<float>()[i], quantize_row(values.subspan(i * 24, 24), row)) << i;
    EXPECT_TRUE(std::ranges::equal(stored.span<int8_t>().subspan(i * 24, 24), row)) << i;
  }
}

TEST_F(QuantizerTest, ATiedInt8Head_IsMadeOfTheEmbedding_WhichStays) {
  const QuantizeReport keep = quantize(in_, folder_ / "keep");
  const QuantizeReport report = quantize(in_, out_, {.int8_head = true, .progress = {}});
  EXPECT_EQ(report.tensors, keep.tensors + 1);
  EXPECT_EQ(report.quantized, keep.quantized + 1);
  EXPECT_EQ(report.bytes_in, keep.bytes_in);
  expect_all_of(folder_ / "keep", out_);
  EXPECT_EQ(Checkpoint::open(out_)->tensors().size(), 34u + 2);
  EXPECT_EQ(read_file(out_ / "config.json"), read_file(in_ / "config.json"));
  auto tensors = tiny_tensors();
  const auto embedding =
      *std::ranges::find(tensors, "model.embed_tokens.weight", &TinyTensor::name);
  expect_int8_head(out_, embedding.values);

  tensors.insert(tensors.begin(), {"lm_head.weight", embedding.shape, embedding.values});
  write_tiny_folder(in_, DType::kBF16, 1, tensors);  // stored twice
  quantize(in_, folder_ / "twice", {.int8_head = true, .progress = {}});
  for (const auto& item : fs::directory_iterator(out_)) {
    EXPECT_EQ(read_file(item), read_file(folder_ / "twice" / item.path().filename())) << item;
  }
}

TEST_F(QuantizerTest, AnUntiedHead_IsInt8OnlyWhereAskedFor) {
  write_untied_folder(in_);
  quantize(in_, folder_ / "keep");
  EXPECT_EQ(Checkpoint::open(folder_ / "keep")->find("lm_head.weight")->dtype, DType::kBF16);
  const QuantizeReport report = quantize(in_, out_, {.int8_head = true, .progress = {}});
  EXPECT_EQ(report.tensors, 21);
  EXPECT_EQ(report.quantized, 15);
  expect_all_of(folder_ / "keep", out_, {"lm_head.weight"});
  auto tensors = tiny_tensors();
  auto values = std::ranges::find(tensors, "model.embed_tokens.weight", &TinyTensor::name)->values;
  std::ranges::reverse(values);
  expect_int8_head(out_, values);
}

TEST_F(QuantizerTest, AnySafetensorsReader_OpensIt_WithTheFilesAsTheyCame) {
  quantize(in_, out_, {.max_shard_bytes = 2000, .progress = {}});
  const SafetensorsFolder files(out_);
  EXPECT_GT(files.files().size(), 2u);
  EXPECT_EQ(files.tensors().size(), 20u + 14);
  EXPECT_EQ(read_file(out_ / "config.json"), read_file(in_ / "config.json"));
  EXPECT_EQ(read_file(out_ / "tokenizer.json"), read_file(in_ / "tokenizer.json"));
}

TEST_F(QuantizerTest, EveryKindOfSource_GivesTheSameInt8) {
  write_tiny_folder(folder_ / "f32", DType::kF32, 3);
  write_tiny_gguf(folder_ / "tiny.gguf");
  quantize(in_, out_);
  const auto expected = Checkpoint::open(out_);
  for (const char* source : {"f32", "tiny.gguf"}) {
    const fs::path out = folder_ / (std::string(source) + ".out");
    quantize(folder_ / source, out);
    const auto artefact = Checkpoint::open(out);
    ASSERT_EQ(artefact->tensors().size(), expected->tensors().size());
    for (const TensorInfo& info : expected->tensors()) {
      const Tensor a = read_whole(*expected, info.name), b = read_whole(*artefact, info.name);
      if (info.dtype == DType::kBF16) {
        EXPECT_EQ(b.dtype(), DType::kF32) << info.name;  // an fp32 source keeps fp32
      } else {
        EXPECT_EQ(std::memcmp(a.raw_data(), b.raw_data(), a.bytes()), 0) << info.name;
      }
    }
  }
}

TEST_F(QuantizerTest, NotANumber_IsNamedWithItsPlace) {
  for (float bad : {NAN, INFINITY, -INFINITY}) {
    auto tensors = tiny_tensors();
    TinyTensor& tensor =
        *std::ranges::find(tensors, "model.layers.1.mlp.down_proj.weight", &TinyTensor::name);
    tensor.values[2 * 20 + 7] = bad;
    write_tiny_folder(in_, DType::kF32, 1, tensors);
    EXPECT_INPUT_ERROR(quantize(in_, out_), in_.string(), "'model.layers.1.mlp.down_proj.weight'",
                       "element [2, 7]");
    EXPECT_FALSE(fs::exists(out_));
  }
}

TEST_F(QuantizerTest, WrongTensors_AreNamed) {
  const struct {
    const char* what;
    void (*damage)(std::vector<TinyTensor>&);
    std::vector<const char*> message;
  } cases[] = {
      {"unknown",
       [](auto& all) {
         all.push_back({"model.layers.0.mlp.extra.weight", Shape{1}, {1}});
       },
       {"'model.layers.0.mlp.extra.weight'", "no such tensor"}},
      {"missing",
       [](auto& all) { std::erase_if(all, [](auto& t) { return t.name == "model.norm.weight"; }); },
       {"'model.norm.weight'", "missing"}},
      {"missing in a layer",
       [](auto& all) {
         std::erase_if(all, [](auto& t) { return t.name == "model.layers.1.mlp.up_proj.weight"; });
       },
       {"'model.layers.1.mlp.up_proj.weight'", "missing"}},
      {"a layer too many",
       [](auto& all) {
         all.push_back(
             {"model.layers.2.mlp.up_proj.weight", Shape{20, 24}, std::vector<float>(480)});
       },
       {"'model.layers.2.mlp.up_proj.weight'", "2 layers"}},
      {"shape",
       [](auto& all) {
         all[0].shape = Shape{24, 40};
       },
       {"'model.embed_tokens.weight'", "dimension 0 as 40"}},
      {"rank",
       [](auto& all) {
         all[0].shape = Shape{40, 12, 2};
       },
       {"'model.embed_tokens.weight'", "[40, 12, 2]"}},
  };
  for (const auto& [what, damage, message] : cases) {
    SCOPED_TRACE(what);
    auto tensors = tiny_tensors();
    damage(tensors);
    write_tiny_folder(in_, DType::kBF16, 1, tensors);
    EXPECT_INPUT_ERROR(quantize(in_, out_), in_.string(), message[0], message[1]);
  }
}

TEST_F(QuantizerTest, WhatIsThereAlready_IsLeftAlone) {
  fs::create_directory(out_);
  EXPECT_INPUT_ERROR(quantize(in_, out_), out_.string(), "exists already");
  fs::remove(out_);
  fs::create_directory(partial_);
  write_file(partial_ / "thesis.tex", "years of work");
  EXPECT_INPUT_ERROR(quantize(in_, out_), partial_.string(), "remove it");
  EXPECT_EQ(read_file(partial_ / "thesis.tex"), "years of work");
}

TEST_F(QuantizerTest, ArtefactsAndOtherQuantizations_AreNoSources) {
  quantize(in_, out_);
  EXPECT_INPUT_ERROR(quantize(out_, folder_ / "again"), out_.string(), "an artefact already");
  auto config = tiny_config();
  config["quantization_config"] = {{"quant_method", "awq"}};
  write_file(in_ / "config.json", config.dump());
  EXPECT_INPUT_ERROR(quantize(in_, folder_ / "again"), in_.string(), "quantization_config",
                     "'awq'");
}

}  // namespace
}  // namespace octet
