// Every architecture of GGUF files against the Hugging Face folder of the same weights.
#include <gtest/gtest.h>

#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>

#include "runtime/request/error.h"
#include "tests/formats/expect_input_error.h"
#include "tests/formats/gguf_builder.h"
#include "tests/formats/mutation.h"
#include "tests/testing/formula_model.h"
#include "tests/testing/gguf_model.h"
#include "tests/testing/group.h"
#include "tests/testing/last_logits.h"
#include "tests/testing/tiny_model.h"

namespace octet {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

const fs::path kFolder = fs::path(OCTET_SOURCE_DIR) / "tests/models/families";

json family(const std::string& name) {
  return json::parse(std::ifstream(kFolder / (name + ".json")));
}

std::vector<std::string> convertible() {
  std::vector<std::string> names;
  for (const auto& file : fs::directory_iterator(kFolder)) {
    const std::string name = file.path().stem().string();
    if (file.path().extension() == ".json" &&
        !testing::gguf_architecture(family(name)["config"]).empty()) {
      names.push_back(name);
    }
  }
  std::ranges::sort(names);
  return names;
}

void write_bytes(const fs::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

void read_everything(const fs::path& path) {
  const auto [checkpoint, args] = open_model({.path = path});
  for (const TensorInfo& info : checkpoint->tensors()) {
    const Tensor out = Tensor::host(info.dtype, info.shape);
    checkpoint->read(info.name, {.axis = 0, .begin = 0, .end = info.shape[0]}, out);
  }
}

class GgufFamilies : public ::testing::TestWithParam<std::string> {
 protected:
  GgufFamilies()
      : model_(family(GetParam())),
        published_(testing::write_formula_model(folder_.path() / "model", model_)),
        gguf_(testing::write_gguf_model(folder_.path() / "model.gguf", model_)) {}

  testing::TempFolder folder_;
  const json model_;
  const fs::path published_, gguf_;
};

TEST_P(GgufFamilies, LogitsAreTheFoldersBitForBit) {
  testing::LastLogits expected(published_), logits(gguf_);
  for (const json& prompt : model_["prompts"]) EXPECT_EQ(logits.of(prompt), expected.of(prompt));
}

TEST_P(GgufFamilies, TheArtefactIsTheFolders_AtAnyNumberOfRanks) {
  const fs::path from_gguf = testing::quantize(gguf_, folder_.path() / "from_gguf");
  const fs::path from_folder = testing::quantize(published_, folder_.path() / "from_folder");
  std::vector<Request> requests(1);
  requests[0].prompt = model_["prompts"][1].get<std::vector<int32_t>>();
  requests[0].sampling = {.max_tokens = 12, .temperature = 0, .ignore_eos = true};
  const auto expected = testing::answer_all({.model = from_folder}, 1, requests);
  for (const int ranks : {1, 3}) {
    EXPECT_EQ(testing::answer_all({.model = from_gguf}, ranks, requests), expected) << ranks;
  }
}

TEST_P(GgufFamilies, DamagedHeaders_ThrowInputErrorOrRead) {
  const std::string sound = testing::gguf_model(model_);
  EXPECT_NO_THROW(read_everything(gguf_));
  const size_t header = std::min<size_t>(sound.size(), 4096);
  Mutator mutator(17);
  for (int i = 0; i < 300; ++i) {
    write_bytes(gguf_, mutator.mutate(sound.substr(0, header)) + sound.substr(header));
    try {
      read_everything(gguf_);
    } catch (const InputError& error) {
      EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << error.what();
    }
  }
}

// A file of one key and no tensors, as far as it is read.
void expect_refused(const std::function<void(GgufBuilder&)>& add, const char* architecture,
                    const char* field, const char* what) {
  const testing::TempFolder folder;
  GgufBuilder builder;
  builder.key_string("general.architecture", architecture);
  const std::string prefix = std::string(architecture) + ".";
  for (const char* name : {"embedding_length", "feed_forward_length", "block_count",
                           "attention.head_count", "context_length", "vocab_size"}) {
    builder.key_u32(prefix + name, 8);
  }
  builder.key_f32(prefix + "attention.layer_norm_rms_epsilon", 1e-5f);
  add(builder);
  const fs::path path = folder.path() / "model.gguf";
  write_bytes(path, builder.build());
  EXPECT_INPUT_ERROR(open_model({.path = path}), path.string(), field, what);
}

TEST(GgufRefusals, NameTheKey) {
  expect_refused([](GgufBuilder&) {}, "mamba", "general.architecture", "is 'mamba'; known: bloom");
  expect_refused([](GgufBuilder& file) { file.key_string("llama.rope.scaling.type", "yarn"); },
                 "llama", "llama.rope.scaling.type", "is 'yarn'; known: none, linear");
  expect_refused([](GgufBuilder& file) { file.key_u32("qwen2.attention.sliding_window", 4); },
                 "qwen2", "qwen2.attention.sliding_window", "is 4");
  expect_refused([](GgufBuilder& file) { file.key_f32("llama.logit_scale", 2); }, "llama",
                 "llama.logit_scale", "is not supported");
  expect_refused([](GgufBuilder& file) { file.key_u32("llama.attention.value_length", 2); },
                 "llama", "llama.attention.value_length", "is not the 1");
  expect_refused(
      [](GgufBuilder& file) {
        std::string factors;
        for (const float factor : {1.0f, 3.0f, 2.0f}) GgufBuilder::put(factors, factor);
        file.tensor("rope_freqs.weight", {3}, 0, factors);
      },
      "llama", "rope_freqs.weight", "not the factors of Llama 3");
}

INSTANTIATE_TEST_SUITE_P(All, GgufFamilies, ::testing::ValuesIn(convertible()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace octet
