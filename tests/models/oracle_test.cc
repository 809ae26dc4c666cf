// The model against Hugging Face transformers: logits, and greedy ids, of the project's own model
// and of SmolLM2. The expected values were written by tests/oracle/transformers_expected.py.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>

#include "runtime/engine/ledger.h"
#include "runtime/engine/worker.h"
#include "runtime/models/registry.h"
#include "runtime/tokenizer/tokenizer.h"
#include "tests/testing/group.h"

namespace octet {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

json expected_of(const char* name) {
  return json::parse(std::ifstream(fs::path(OCTET_SOURCE_DIR) / "tests/oracle" / name));
}

// The last position's logits of each prompt, from one rank's worker.
class Logits {
 public:
  explicit Logits(const fs::path& model)
      : checkpoint_(Checkpoint::open(model)),
        args_(parse_model_args(checkpoint_->config(), model.string())),
        partition_(args_, find_family(args_.model_type).rules),
        options_(resolve_options(
            {.model = model, .quantization = "none", .max_model_len = 256, .max_num_seqs = 1},
            args_, false, 1, 1)),
        communicator_(std::move(make_thread_communicators(1, comm_options(options_, 1))[0])),
        worker_(options_, *checkpoint_, args_, partition_, *communicator_) {}

  std::vector<float> last(const std::vector<int32_t>& ids) {
    ModelInput input;
    input.token_ids = ids;
    for (size_t i = 0; i < ids.size(); ++i) {
      input.positions.push_back(static_cast<int32_t>(i));
      input.slot_mapping.push_back(static_cast<int32_t>(i));
    }
    input.cu_seqlens = {0, static_cast<int32_t>(ids.size())};
    input.context_lens = {static_cast<int32_t>(ids.size())};
    for (int block = 0; block < 16; ++block) input.block_tables.push_back(block);
    input.max_blocks = 16;
    input.sampled_rows = {static_cast<int32_t>(ids.size()) - 1};
    std::vector<int32_t> words;
    input.encode(words);
    std::vector<float> logits;
    worker_.step(std::as_bytes(std::span(words)),
                 [&](int, std::span<const float> row) { logits.assign(row.begin(), row.end()); });
    return logits;
  }

 private:
  std::unique_ptr<Checkpoint> checkpoint_;
  ModelArgs args_;
  Partition partition_;
  EngineOptions options_;
  std::unique_ptr<Communicator> communicator_;
  Worker worker_;
};

void check_against(const fs::path& model, const json& expected, double tolerance) {
  Logits logits(model);
  const auto tokenizer = load_tokenizer(model);
  std::vector<Request> requests;
  double worst = 0;
  for (const json& c : expected["cases"]) {
    const auto ids = c["ids"].get<std::vector<int32_t>>();
    EXPECT_EQ(tokenizer->encode(c["prompt"].get<std::string>(), true, false), ids);
    const std::vector<float> row = logits.last(ids);
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
