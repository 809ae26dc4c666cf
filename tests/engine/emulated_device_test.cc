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
    requests_ = testing::random_requests(3, 30, 8, shape_.vocab_size, 5);
    for (Request& request : requests_) request.sampling.temperature = 0;
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
  const auto expected = run({.max_num_seqs = 1, .device = "cuda"});
  EXPECT_EQ(run({.max_num_seqs = 3, .device = "cuda"}), expected);
  EXPECT_EQ(run({.max_num_seqs = 3, .max_num_batched_tokens = 11, .device = "cuda"}), expected);
}

}  // namespace
}  // namespace octet
