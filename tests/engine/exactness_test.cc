// Contract 1 with ranks as threads: the same tokens and the same log-probability bits at any number
// of ranks, any batch and any chunking. tests/e2e proves it again with ranks as processes.
#include <gtest/gtest.h>

#include "tests/testing/group.h"
#include "tests/testing/tiny_model.h"

namespace octet {
namespace {

using testing::Answer;
using testing::TinyLlama;

struct Case {
  const char* name;
  TinyLlama shape;
  bool quantized;
  bool int8_head = false;
};

class Exactness : public ::testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    model_ = testing::write_tiny_llama(folder_.path() / "model", GetParam().shape);
    if (GetParam().quantized) {
      model_ = testing::quantize(model_, folder_.path() / "int8", GetParam().int8_head);
    }
    requests_ = testing::random_requests(7, 70, 12, GetParam().shape.vocab_size, 5);
    for (Request& request : requests_) request.sampling.prompt_logprobs = request.id % 2 == 0;
  }

  std::map<uint64_t, Answer> run(EngineOptions options, int ranks) {
    options.model = model_;
    return testing::answer_all(options, ranks, requests_);
  }

  testing::TempFolder folder_;
  std::filesystem::path model_;
  std::vector<Request> requests_;
};

TEST_P(Exactness, SameBitsAtAnyRanksBatchAndChunking) {
  const auto expected = run({.max_num_seqs = 1, .enable_chunked_prefill = false}, 1);
  ASSERT_EQ(expected.size(), requests_.size());
  for (const auto& [id, answer] : expected) {
    ASSERT_EQ(answer.ids.size(), 12u) << answer.error;
    ASSERT_EQ(answer.prompt_logprobs.size(), id % 2 == 0 ? requests_[id].prompt.size() - 1 : 0);
  }
  EXPECT_EQ(run({.mmap = false, .max_num_seqs = 7}, 1), expected) << "copied weights";
  for (const int ranks : {1, 2, 3, 4, 5, 8}) {
    for (const int batch : {1, 7}) {
      const EngineOptions whole{.max_num_seqs = batch, .enable_chunked_prefill = false};
      const EngineOptions chunked{.max_num_seqs = batch, .max_num_batched_tokens = 11};
      EXPECT_EQ(run(whole, ranks), expected) << ranks << " ranks, batch " << batch;
      EXPECT_EQ(run(chunked, ranks), expected) << ranks << " ranks, batch " << batch << ", chunked";
    }
  }
}

TEST_P(Exactness, SameBitsWithAnInt8Cache) {
  const auto expected = run({.kv_cache_dtype = "int8", .max_num_seqs = 1}, 1);
  EXPECT_NE(expected, run({.max_num_seqs = 1}, 1));
  for (const int ranks : {1, 3}) {
    const EngineOptions chunked{
        .kv_cache_dtype = "int8", .max_num_seqs = 7, .max_num_batched_tokens = 11};
    EXPECT_EQ(run(chunked, ranks), expected) << ranks << " ranks";
  }
}

TEST_P(Exactness, SameTokensWithoutTheirLogprobs) {
  for (Request& request : requests_) request.sampling = {.max_tokens = 40, .temperature = 0};
  const auto with = run({.max_num_seqs = 1}, 1);
  for (Request& request : requests_) request.sampling.logprobs = request.id == 3;
  for (const int ranks : {1, 3}) {
    for (const int batch : {1, 7}) {
      const auto without = run({.max_num_seqs = batch}, ranks);
      for (const auto& [id, answer] : without) {
        EXPECT_EQ(answer.ids, with.at(id).ids) << id << ", " << ranks << " ranks, batch " << batch;
        EXPECT_EQ(answer.logprobs,
                  id == 3 ? with.at(id).logprobs : std::vector<float>(answer.ids.size(), 0.0f));
      }
    }
  }
}

TEST_P(Exactness, SameBitsWhenBlocksRunOut) {
  const auto expected = run({.max_num_seqs = 1}, 1);
  const TinyLlama& shape = GetParam().shape;
  const int64_t block = 2 * shape.num_hidden_layers * shape.num_key_value_heads * shape.head_dim *
                        4 * 4;  // of 4 tokens in fp32
  EngineOptions tight{.kv_cache_dtype = GetParam().quantized ? "bfloat16" : "float32",
                      .max_num_seqs = 7,
                      .max_num_batched_tokens = 64,
                      .block_size = 4,
                      .kv_cache_memory = 30 * block};
  if (GetParam().quantized) tight.kv_cache_memory /= 2;
  EXPECT_EQ(run(tight, 1), expected);
  EXPECT_EQ(run(tight, 2), expected);
}

TEST_P(Exactness, SameBitsWhenBeginningsAreShared) {
  for (Request& request : requests_) {  // 0, 10, ... 60 tokens of one text, then its own
    const std::vector<int32_t> own = request.prompt;
    request.prompt.assign(static_cast<size_t>(request.id) * 10, 5);
    for (size_t i = 0; i < request.prompt.size(); ++i) request.prompt[i] += static_cast<int>(i % 7);
    request.prompt.insert(request.prompt.end(), own.begin(), own.end());
    request.sampling.prompt_logprobs_start = static_cast<int>(request.id) * 10 + 1;
  }
  const auto expected = run({.max_num_seqs = 1}, 1);
  for (const int ranks : {1, 3}) {
    for (const int batch : {1, 7}) {
      EngineOptions shared{.max_num_seqs = batch, .enable_prefix_caching = true, .block_size = 4};
      EXPECT_EQ(run(shared, ranks), expected) << ranks << " ranks, batch " << batch;
      shared.max_num_batched_tokens = 11;
      EXPECT_EQ(run(shared, ranks), expected) << ranks << " ranks, batch " << batch << ", chunked";
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Models, Exactness,
                         ::testing::Values(Case{"Fp32", {}, false},
                                           Case{"Int8", {.vocab_size = 3000}, true},
                                           Case{"Int8HeadToo", {}, true, true},
                                           Case{"Int8NineHeadsUntiedBias",
                                                {.hidden_size = 72,
                                                 .intermediate_size = 172,
                                                 .num_attention_heads = 9,
                                                 .num_key_value_heads = 3,
                                                 .tie_word_embeddings = false,
                                                 .attention_bias = true,
                                                 .seed = 2},
                                                true}),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace octet
