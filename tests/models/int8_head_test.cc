// An int8 head in a running model: which weights it is, and that its bits are the same on any
// number of ranks, in an artefact and of dummy weights.
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "runtime/models/open_model.h"
#include "tests/formats/expect_input_error.h"
#include "tests/testing/formula_model.h"
#include "tests/testing/group.h"
#include "tests/testing/tiny_model.h"
#include "tests/weights/stored_tensors.h"

namespace octet {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// The artefact as an fp32 checkpoint under its own names, with a head of its own.
fs::path write_dequantised(const fs::path& artefact, const fs::path& folder) {
  StoredTensors tensors = read_stored(artefact), floats;
  for (const StoredTensor& tensor : tensors) {
    if (tensor.name.ends_with("_scale")) continue;
    floats.push_back(tensor);
    if (tensor.dtype != DType::kI8) continue;
    const std::string& scales = tensor_in(tensors, tensor.name + "_scale").bytes;
    floats.back().dtype = DType::kF32;
    floats.back().bytes.clear();
    for (size_t i = 0; i < tensor.bytes.size(); ++i) {
      float scale;
      std::memcpy(&scale, &scales[i / static_cast<size_t>(tensor.shape[1]) * sizeof scale],
                  sizeof scale);
      put(floats.back().bytes, static_cast<float>(static_cast<int8_t>(tensor.bytes[i])) * scale);
    }
  }
  json config = json::parse(std::ifstream(artefact / "config.json"));
  config["tie_word_embeddings"] = false;
  fs::create_directories(folder);
  std::ofstream(folder / "config.json") << config;
  write_safetensors(folder, floats);
  return folder;
}

std::map<uint64_t, testing::Answer> answers(EngineOptions options, int ranks = 1) {
  options.kv_cache_dtype = "float32";
  return testing::answer_all(options, ranks, testing::random_requests(6, 40, 12, 100, 5));
}

TEST(Int8Head, IsTheStoredMatrix_AndTheEmbeddingStaysItsOwn) {
  for (const bool tied : {true, false}) {
    const testing::TempFolder folder;
    const fs::path model =
        testing::write_tiny_llama(folder.path() / "model", {.tie_word_embeddings = tied});
    const fs::path artefact = testing::quantize(model, folder.path() / "artefact", true);
    const fs::path floats = write_dequantised(artefact, folder.path() / "floats");
    const auto expected = answers({.model = floats, .quantization = "none"});
    ASSERT_EQ(expected.at(0).ids.size(), 12u) << expected.at(0).error;
    for (const int ranks : {1, 2, 4}) {
      EXPECT_EQ(answers({.model = artefact, .quantization = "none"}, ranks), expected) << ranks;
    }
    const fs::path keep = testing::quantize(model, folder.path() / "keep");
    EXPECT_NE(answers({.model = keep, .quantization = "none"}), expected);
  }
}

// Phi's and GPT-J's heads have biases; PaLM scales its logits; OPT-350m's head is narrower than its
// layers.
TEST(Int8Head, WithABiasScaledOrNarrow_GivesNearlyTheSameLogProbabilities) {
  for (const char* name : {"phi", "gptj", "palm", "opt_350m"}) {
    const testing::TempFolder folder;
    const json family = json::parse(std::ifstream(
        fs::path(OCTET_SOURCE_DIR) / "tests/models/families" / (std::string(name) + ".json")));
    const fs::path model = testing::write_formula_model(folder.path() / "model", family);
    const fs::path keep = testing::quantize(model, folder.path() / "keep");
    const fs::path artefact = testing::quantize(model, folder.path() / "artefact", true);
    Request request{.id = 0, .prompt = family["greedy"][0], .sampling = {}};
    request.sampling = {.max_tokens = 0, .prompt_logprobs = true};
    for (const char* quantization : {"llm-int8", "w8a8", "w8a16", "none"}) {
      const auto of = [&](const fs::path& path, int ranks) {
        return testing::answer_all({.model = path, .quantization = quantization}, ranks, {request})
            .at(0)
            .prompt_logprobs;
      };
      const std::vector<float> expected = of(keep, 1), got = of(artefact, 1);
      ASSERT_EQ(got.size(), expected.size());
      EXPECT_NE(got, expected) << name << ", " << quantization;
      double sum = 0;
      for (size_t i = 0; i < got.size(); ++i) sum += std::fabs(got[i] - expected[i]);
      EXPECT_LT(sum / static_cast<double>(got.size()), 0.05) << name << ", " << quantization;
      EXPECT_EQ(of(artefact, 3), got) << name << ", " << quantization;
    }
  }
}

TEST(Int8Head, OfDummyWeights_IsThereWhereAskedFor) {
  for (const char* preset : {"smollm2-135m", "tinyllama-1.1b"}) {  // tied, untied
    const ModelFiles files =
        open_model({.path = preset, .dummy = true, .int8_head = true, .num_hidden_layers = 1});
    ASSERT_NE(files.checkpoint->find("lm_head.weight"), nullptr);
    EXPECT_EQ(files.checkpoint->find("lm_head.weight")->dtype, DType::kI8);
    EXPECT_EQ(files.checkpoint->find("lm_head.weight_scale")->shape, Shape{files.args.vocab_size});
    EXPECT_EQ(files.checkpoint->find("model.embed_tokens.weight")->dtype, DType::kBF16);
  }
  const testing::TempFolder folder;
  EngineOptions options{.model = testing::write_tiny_llama(folder.path(), {}),
                        .load_format = "dummy"};
  const auto keep = answers(options);
  options.head = "int8";
  const auto expected = answers(options);
  EXPECT_NE(expected, keep);
  for (const int ranks : {2, 4}) EXPECT_EQ(answers(options, ranks), expected) << ranks;
}

TEST(Int8Head, OfWeightsThatAreNotDummies_IsRefusedAtLoad) {
  const testing::TempFolder folder;
  const fs::path model = testing::write_tiny_llama(folder.path() / "model", {});
  const fs::path artefact = testing::quantize(model, folder.path() / "artefact", true);
  for (const fs::path& path : {model, artefact}) {
    EXPECT_INPUT_ERROR(answers({.model = path, .head = "int8"}), path.string(),
                       "--head int8 is only for dummy weights");
  }
}

}  // namespace
}  // namespace octet
