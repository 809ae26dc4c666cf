// A trained model against the program that it was published with: its golden text and its
// likelihood of 600 stories.
#include "tests/models/stories260k.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "runtime/tokenizer/tokenizer.h"
#include "tests/testing/group.h"
#include "tests/testing/tiny_model.h"

namespace octet {
namespace {

namespace fs = std::filesystem;

std::string text_of(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

class Stories260K : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!fs::exists(testing::stories260k_data())) {
      GTEST_SKIP() << testing::stories260k_data()
                   << " is not here: the shared test data are absent";
    }
    model_ = testing::convert_stories260k(folder_.path() / "model");
    tokenizer_ = load_tokenizer(model_);
  }

  // Mean negative log-likelihood over the first 600 stories, each BOS and text cut at 512
  // predictions.
  double nll(const EngineOptions& options, int ranks, size_t* predicted) {
    const std::string all =
        text_of(fs::path(OCTET_SOURCE_DIR) / "../shared/data/text/tinystories_train_head_2MiB.txt");
    const std::string mark = "<|endoftext|>";
    std::vector<Request> requests;
    size_t begin = 0;
    while (requests.size() < 600) {
      const size_t end = all.find(mark, begin);
      std::string story = all.substr(begin, end - begin);
      story.erase(0, story.find_first_not_of('\n'));
      story.erase(story.find_last_not_of('\n') + 1);
      begin = end + mark.size();
      Request request{
          .id = requests.size(), .prompt = tokenizer_->encode(story, true, false), .sampling = {}};
      if (request.prompt.size() > 512) request.prompt.resize(512);
      request.sampling.max_tokens = 0;
      request.sampling.prompt_logprobs = true;
      requests.push_back(std::move(request));
    }
    double sum = 0;
    *predicted = 0;
    for (const auto& [id, answer] : testing::answer_all(options, ranks, requests)) {
      for (const float logprob : answer.prompt_logprobs) sum -= logprob;
      *predicted += answer.prompt_logprobs.size();
    }
    return sum / static_cast<double>(*predicted);
  }

  testing::TempFolder folder_;
  fs::path model_;
  std::unique_ptr<Tokenizer> tokenizer_;
};

TEST_F(Stories260K, GreedyTextIsTheGoldenOneByteForByteAtAnyRanks) {
  const std::string golden = text_of(testing::stories260k_data() / "expected_greedy_200.txt");
  Request request{.id = 0, .prompt = {1}, .sampling = {}};
  request.sampling.max_tokens = 200;
  request.sampling.temperature = 0;
  for (const int ranks : {1, 2, 4}) {
    const auto answers =
        testing::answer_all({.model = model_, .quantization = "none"}, ranks, {request});
    EXPECT_EQ(tokenizer_->decode(answers.at(0).ids), golden) << ranks << " ranks";
  }
}

TEST_F(Stories260K, LikelihoodIsTheReferences) {
  size_t predicted = 0;
  const double fp32 = nll({.model = model_, .quantization = "none", .threads = 2}, 1, &predicted);
  EXPECT_EQ(predicted, 237052u);
  EXPECT_NEAR(fp32, 1.52882, 1e-4);
  const fs::path artefact = testing::quantize(model_, folder_.path() / "int8");
  const double weights_only =
      nll({.model = artefact, .quantization = "none", .threads = 2}, 1, &predicted);
  EXPECT_NEAR(weights_only, 1.52929, 1e-4);
  const double int8 = nll({.model = artefact, .kv_cache_dtype = "float32"}, 2, &predicted);
  EXPECT_NEAR(int8, fp32, 0.01);
  std::printf(
      "nll fp32 %.5f, int8 weights %.5f (reference 1.52929), int8 weights and activations %.5f\n",
      fp32, weights_only, int8);
}

}  // namespace
}  // namespace octet
