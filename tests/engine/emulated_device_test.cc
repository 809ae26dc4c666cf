// The whole engine over the CUDA back end, whose GPU is the emulation: weights, cache, logits and
// recorded steps in device memory, the kernels' own sources.
#include <gtest/gtest.h>

#include "tests/testing/group.h"
#include "tests/testing/tiny_model.h"

namespace octet {
namespace {

using testing::Answer;

class EmulatedDevice : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto model = testing::write_tiny_llama(folder_.path() / "model", shape_);
    model_ = testing::quantize(model, folder_.path() / "int8");
    int8_head_ = testing::quantize(model, folder_.path() / "int8_head", true);
    requests_ = testing::random_requests(5, 30, 8, shape_.vocab_size, 5);
    requests_[1].sampling.top_k = 100;       // whole rows
    requests_[3].sampling.temperature = 40;  // behind the shortlist more often than not
  }

  std::map<uint64_t, Answer> run(EngineOptions options) {
    if (options.model.empty()) options.model = model_;
    return testing::answer_all(options, 1, requests_);
  }

  testing::TempFolder folder_;
  testing::TinyLlama shape_;
  std::filesystem::path model_, int8_head_;
  std::vector<Request> requests_;
};

TEST_F(EmulatedDevice, GivesTheCpusTokens) {
  for (Request& request : requests_) request.sampling.temperature = 0;
  for (const auto& model : {model_, int8_head_}) {
    const auto expected = run({.model = model, .device = "cpu"});
    const auto actual = run({.model = model, .device = "cuda"});
    ASSERT_EQ(actual.size(), expected.size());
    for (const auto& [id, answer] : expected) {
      EXPECT_EQ(answer.ids.size(), 8u);
      EXPECT_EQ(actual.at(id).ids, answer.ids) << actual.at(id).error;
    }
  }
}

TEST_F(EmulatedDevice, SameBitsAtAnyBatchAndChunking) {
  for (Request& request : requests_) request.sampling.prompt_logprobs = request.id == 4;
  const auto expected = run({.max_num_seqs = 1, .device = "cuda"});
  EXPECT_EQ(expected.at(3).ids.size(), 8u) << expected.at(3).error;
  EXPECT_EQ(run({.max_num_seqs = 5, .device = "cuda"}), expected);
  EXPECT_EQ(run({.max_num_seqs = 5, .max_num_batched_tokens = 11, .device = "cuda"}), expected);
}

// The CPU draws them too: nearly the same sums, the same order, so seldom another token.
TEST_F(EmulatedDevice, DrawsNearlyWhatTheCpuDraws) {
  const auto expected = run({.device = "cpu"});
  const auto actual = run({.device = "cuda"});
  for (const auto& [id, answer] : expected) {
    EXPECT_EQ(actual.at(id).ids[0], answer.ids[0]) << id;
    EXPECT_NEAR(actual.at(id).logprobs[0], answer.logprobs[0], 1e-3f) << id;
  }
}

TEST_F(EmulatedDevice, SaysWhichLogitsAreNotFinite) {
  model_ = testing::write_tiny_llama(folder_.path() / "huge", {.norm_weight = 3e38f});
  for (const auto& [id, answer] : run({.device = "cuda"})) {
    EXPECT_NE(answer.error.find("are not finite"), std::string::npos) << id << answer.error;
  }
}

}  // namespace
}  // namespace octet
