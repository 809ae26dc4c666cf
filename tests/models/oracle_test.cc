// The model against Hugging Face transformers: logits, and greedy ids, of the project's own model
// and of SmolLM2. The expected values were written by tests/oracle/transformers_expected.py.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>

#include "runtime/tokenizer/tokenizer.h"
#include "tests/testing/group.h"
#include "tests/testing/last_logits.h"

namespace octet {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

json expected_of(const char* name) {
  return json::parse(std::ifstream(fs::path(OCTET_SOURCE_DIR) / "tests/oracle" / name));
}

void check_against(const fs::path& model, const json& expected, double tolerance) {
  testing::LastLogits logits(model);
  const auto tokenizer = load_tokenizer(model);
  std::vector<Request> requests;
  double worst = 0;
  for (const json& c : expected["cases"]) {
    const auto ids = c["ids"].get<std::vector<int32_t>>();
    EXPECT_EQ(tokenizer->encode(c["prompt"].get<std::string>(), true, false), ids);
    const std::vector<float> row = logits.of(ids);
    const auto values = c["logits"].get<std::vector<double>>();
    const size_t stride = expected["stride"];
    for (size_t i = 0; i < values.size(); ++i)
      worst = std::max(worst, std::fabs(row[i * stride] - values[i]));
    EXPECT_EQ(std::max_element(row.begin(), row.end()) - row.begin(), c["argmax"].get<int>());
    requests.push_back({.id = requests.size(), .prompt = ids, .sampling = {}});
    requests.back().sampling = {.max_tokens = 32, .temperature = 0, .ignore_eos = true};
  }
  EXPECT_LT(worst, tolerance);
  std::printf("largest difference of a logit: %.2e\n", worst);
  for (const int ranks : {1, 3}) {
    for (Request& request : requests) request.sampling.logprobs = ranks == 1;
    const auto answers = testing::answer_all(
        {.model = model, .quantization = "none", .max_model_len = 256}, ranks, requests);
    for (const auto& [id, answer] : answers) {
      EXPECT_EQ(answer.ids, expected["cases"][id]["greedy"].get<std::vector<int32_t>>())
          << "prompt " << id;
    }
  }
}

TEST(Oracle, TheProjectsModelAgreesWithTransformers) {
  check_against(fs::path(OCTET_SOURCE_DIR) / "tests/data/tinystories",
                expected_of("tinystories_expected.json"), 1e-3);
}

TEST(Oracle, SmolLM2AgreesWithTransformers) {
  const char* home = std::getenv("HOME");
  const fs::path model =
      fs::path(home != nullptr ? home : "") / ".cache/octet/SmolLM2-135M-Instruct.gguf";
  if (!fs::exists(model)) GTEST_SKIP() << "no " << model << ": scripts/demo fetches it";
  check_against(model, expected_of("smollm2_expected.json"), 2e-3);
}

}  // namespace
}  // namespace octet
