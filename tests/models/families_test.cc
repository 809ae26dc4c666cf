// Every family against an independent implementation: Hugging Face transformers, and for PaLM a
// NumPy forward of the paper's section 2 (tests/oracle/make_families.py wrote the numbers in
// families/).
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "runtime/models/open_model.h"
#include "tests/formats/expect_input_error.h"
#include "tests/testing/formula_model.h"
#include "tests/testing/group.h"
#include "tests/testing/last_logits.h"
#include "tests/testing/tiny_model.h"

namespace octet {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

const fs::path kFolder = fs::path(OCTET_SOURCE_DIR) / "tests/models/families";

class Families : public ::testing::TestWithParam<std::string> {
 protected:
  Families()
      : expected_(json::parse(std::ifstream(kFolder / (GetParam() + ".json")))),
        model_(testing::write_formula_model(folder_.path() / "model", expected_)) {}

  std::vector<Request> requests(int max_tokens) const {
    std::vector<Request> requests;
    for (const json& prompt : expected_["prompts"]) {
      requests.push_back({.id = requests.size(), .prompt = prompt, .sampling = {}});
      requests.back().sampling = {.max_tokens = max_tokens, .temperature = 0, .ignore_eos = true};
    }
    return requests;
  }

  testing::TempFolder folder_;
  const json expected_;
  const fs::path model_;
};

TEST_P(Families, TheFormulaIsTheScripts) {
  const json& check = expected_["check"];
  const json& tensor = expected_["tensors"][check["name"]];
  const auto values = check["values"].get<std::vector<float>>();
  EXPECT_EQ(testing::formula_values(check["name"], expected_["seed"], values.size(),
                                    tensor["scale"], tensor["offset"]),
            values);
}

TEST_P(Families, LogitsAgreeWithTheOtherImplementation) {
  testing::LastLogits logits(model_);
  for (size_t i = 0; i < expected_["prompts"].size(); ++i) {
    const auto wanted = expected_["logits"][i].get<std::vector<double>>();
    const std::vector<float> got = logits.of(expected_["prompts"][i]);
    ASSERT_EQ(got.size(), wanted.size());
    double worst = 0, largest = 0;
    for (size_t k = 0; k < got.size(); ++k) {
      worst = std::max(worst, std::fabs(got[k] - wanted[k]));
      largest = std::max(largest, std::fabs(wanted[k]));
    }
    EXPECT_LT(worst, 1e-4 * largest) << "prompt " << i;
  }
}

TEST_P(Families, TheConfigAsNewerTransformersWriteIt_IsTheSame) {
  if (!expected_.contains("config_v5")) GTEST_SKIP() << "transformers has no such family";
  json newer = expected_;
  newer["config"] = expected_["config_v5"];
  const fs::path model = testing::write_formula_model(folder_.path() / "newer", newer);
  const std::vector<int32_t> prompt = expected_["prompts"][2];
  EXPECT_EQ(testing::LastLogits(model).of(prompt), testing::LastLogits(model_).of(prompt));
}

TEST_P(Families, GreedyIdsAgree_AndNoBitDependsOnTheRanks) {
  const auto requests = this->requests(64);
  std::map<uint64_t, testing::Answer> first;
  for (const int ranks : {1, 2, 3, 4}) {
    const auto answers =
        testing::answer_all({.model = model_, .quantization = "none"}, ranks, requests);
    for (const auto& [id, answer] : answers) {
      EXPECT_EQ(answer.ids, expected_["greedy"][id].get<std::vector<int32_t>>()) << "prompt " << id;
    }
    if (ranks == 1) first = answers;
    EXPECT_EQ(answers, first) << ranks << " ranks";
  }
}

// Every row through the head: the largest step that the workspace must hold.
TEST_P(Families, ScoringEveryRow_GivesTheSameBitsAtAnyNumberOfRanks) {
  std::vector<Request> requests;
  for (size_t i = 0; i < 3; ++i) {
    requests.push_back({.id = i, .prompt = expected_["greedy"][i], .sampling = {}});
    requests.back().sampling = {.max_tokens = 0, .prompt_logprobs = true};
  }
  const EngineOptions options{
      .model = model_, .quantization = "none", .max_num_seqs = 3, .max_num_batched_tokens = 192};
  const auto first = testing::answer_all(options, 1, requests);
  EXPECT_EQ(first.at(0).prompt_logprobs.size(), 63u);
  EXPECT_EQ(testing::answer_all(options, 3, requests), first);
}

TEST_P(Families, TheArtefactGivesTheSameBitsAtAnyNumberOfRanks) {
  const auto requests = this->requests(12);
  for (const bool int8_head : {false, true}) {
    const fs::path artefact = testing::quantize(
        model_, folder_.path() / (int8_head ? "int8_head" : "artefact"), int8_head);
    const auto first = testing::answer_all({.model = artefact}, 1, requests);
    for (const int ranks : {2, 3, 4}) {
      EXPECT_EQ(testing::answer_all({.model = artefact}, ranks, requests), first)
          << ranks << " ranks, int8 head: " << int8_head;
    }
  }
}

TEST(OpenModel, AnActivationThatTheFamilysTensorsAreNotFor_IsRefused) {
  testing::TempFolder folder;
  for (const auto& [name, key, value] :
       {std::tuple("llama", "hidden_act", "gelu"), {"gpt2", "activation_function", "silu"}}) {
    json model = json::parse(std::ifstream(kFolder / (std::string(name) + ".json")));
    model["config"][key] = value;
    const fs::path path = testing::write_formula_model(folder.path() / name, model);
    EXPECT_INPUT_ERROR(open_model({.path = path}), path.string(), "activation");
  }
}

TEST(OpenModel, AFamilyThatIsNotKnown_IsNamedWithItsFile) {
  testing::TempFolder folder;
  testing::write_tiny_llama(folder.path(), {});
  json config = json::parse(std::ifstream(folder.path() / "config.json"));
  config["model_type"] = "mamba";
  std::ofstream(folder.path() / "config.json") << config;
  EXPECT_INPUT_ERROR(open_model({.path = folder.path()}), folder.path().string() + ": model_type",
                     "mamba");
}

TEST(OpenModel, AHeadThatIsNotTheEmbeddingItIsTiedTo_IsRefused) {
  testing::TempFolder folder;
  testing::write_tiny_llama(folder.path(), {.tie_word_embeddings = false});
  json config = json::parse(std::ifstream(folder.path() / "config.json"));
  config["tie_word_embeddings"] = true;
  std::ofstream(folder.path() / "config.json") << config;
  EXPECT_INPUT_ERROR(open_model({.path = folder.path()}), folder.path().string(),
                     "tensor 'lm_head.weight': differs from the embedding");
}

TEST(OpenModel, APresetWhereFilesAreNeeded_IsToldFromAFileThatIsMissing) {
  EXPECT_INPUT_ERROR(open_model({.path = "gpt3-175b"}), "gpt3-175b is a preset",
                     "give an artefact");
  EXPECT_INPUT_ERROR(open_model({.path = "gpt3-175c"}), "gpt3-175c: no such file or folder");
}

TEST(OpenModel, AWeightThatIsNotFinite_IsNamedByItsElement_OnTheRankThatHasIt) {
  const json model = json::parse(std::ifstream(kFolder / "gpt_neox.json"));
  const std::tuple<const char*, size_t, float, const char*> wrong[] = {
      {"gpt_neox.embed_in.weight", 96 * 100 + 5, NAN,
       "'model.embed_tokens.weight': element [100, 5] is nan"},
      {"gpt_neox.layers.1.input_layernorm.weight", 7, INFINITY,
       "'model.layers.1.input_layernorm.weight': element [7] is inf"},
      {"gpt_neox.layers.0.mlp.dense_h_to_4h.bias", 223, -INFINITY,
       "'model.layers.0.mlp.up_proj.bias': element [223] is -inf"},
      {"gpt_neox.layers.1.mlp.dense_h_to_4h.weight", 96 * 200 + 9, NAN,
       "'model.layers.1.mlp.up_proj.weight': element [200, 9] is nan"},
      {"gpt_neox.layers.0.mlp.dense_4h_to_h.weight", 224 * 3 + 220, INFINITY,
       "'model.layers.0.mlp.down_proj.weight': element [3, 220] is inf"},
      {"embed_out.weight", 96 * 118, NAN, "'lm_head.weight': element [118, 0] is nan"},
  };
  testing::TempFolder folder;
  for (const auto& [tensor, at, value, message] : wrong) {
    const fs::path path =
        testing::write_formula_model(folder.path() / tensor, model,
                                     [&, name = std::string(tensor), at = at, value = value](
                                         const std::string& each, std::vector<float>& values) {
                                       if (each == name) values[at] = value;
                                     });
    for (const int ranks : {1, 3}) {
      EXPECT_INPUT_ERROR(testing::run_group({.model = path}, ranks, [](Engine&) {}), path.string(),
                         message);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, Families, ::testing::ValuesIn(testing::model_names(kFolder)),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace octet
