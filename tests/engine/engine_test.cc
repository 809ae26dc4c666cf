#include "runtime/engine/engine.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "runtime/request/error.h"
#include "tests/testing/group.h"
#include "tests/testing/tiny_model.h"

namespace octet {
namespace {

class EngineTest : public ::testing::Test {
 protected:
  void SetUp() override { options_.model = testing::write_tiny_llama(folder_.path() / "m", {}); }

  std::string error_of(const EngineOptions& options, int ranks = 1) {
    try {
      testing::run_group(options, ranks, [](Engine&) {});
    } catch (const InputError& error) {
      return error.what();
    }
    return "";
  }

  testing::TempFolder folder_;
  EngineOptions options_;
};

TEST_F(EngineTest, ARequestThatCanNeverRunComesBackAsAnErrorAndHarmsNoOther) {
  std::vector<Request> requests = testing::random_requests(5, 20, 5, 150, 1);
  requests[0].prompt.clear();
  requests[1].prompt[0] = 150;
  requests[2].prompt.assign(158, 3);
  requests[3].sampling.top_p = 0;
  const auto answers = testing::answer_all(options_, 2, requests);
  EXPECT_EQ(answers.at(0).error, "the prompt has no tokens");
  EXPECT_EQ(answers.at(1).error, "prompt token 150 is outside the vocabulary of 150");
  EXPECT_EQ(answers.at(2).error,
            "158 prompt tokens and max_tokens 5 exceed the model's length of 160");
  EXPECT_EQ(answers.at(3).error, "top_p is 0, must be above 0 and at most 1");
  EXPECT_EQ(answers.at(4).ids.size(), 5u);
}

TEST_F(EngineTest, LogitsThatAreNotFiniteAreTheRequestsError) {
  options_.model = testing::write_tiny_llama(folder_.path() / "huge", {.norm_weight = 3e38f});
  std::vector<Request> requests = testing::random_requests(4, 20, 5, 150, 1);
  requests[2].prompt.assign(9, 3);
  requests[2].sampling.prompt_logprobs = true;
  const auto answers = testing::answer_all(options_, 2, requests);
  for (const auto& [id, answer] : answers) {
    EXPECT_EQ(answer.finish, FinishReason::kError);
    EXPECT_TRUE(answer.ids.empty());
    const size_t position = id == 2 ? 0 : requests[id].prompt.size() - 1;
    EXPECT_EQ(answer.error,
              fmt::format("the model's logits at position {} are not finite", position));
  }
}

TEST_F(EngineTest, AStopTokenEndsTheRequestAndIsEmitted) {
  std::vector<Request> requests = testing::random_requests(1, 20, 12, 150, 1);
  const auto free = testing::answer_all(options_, 1, requests);
  requests[0].sampling.stop_token_ids = {free.at(0).ids[4]};
  const auto stopped = testing::answer_all(options_, 1, requests);
  EXPECT_EQ(stopped.at(0).finish, FinishReason::kStop);
  EXPECT_EQ(stopped.at(0).ids.back(), free.at(0).ids[4]);
  EXPECT_LE(stopped.at(0).ids.size(), 5u);
}

TEST_F(EngineTest, CancellingFreesTheBlocksBeforeTheNextStep) {
  std::vector<Request> requests = testing::random_requests(3, 20, 100, 150, 1);
  testing::run_group(options_, 2, [&](Engine& engine) {
    for (const Request& request : requests) engine.submit(request);
    std::map<uint64_t, int> tokens;
    bool cancelled = false;
    engine.run(
        [&](std::vector<RequestOutput> outputs) {
          for (const RequestOutput& output : outputs) {
            if (output.token >= 0) ++tokens[output.request_id];
            if (output.request_id == 1 && output.finish == FinishReason::kCancelled) {
              cancelled = true;
              EXPECT_EQ(engine.stats().running, 2);
            }
          }
          if (tokens[1] == 5) engine.cancel(1);
        },
        true);
    EXPECT_TRUE(cancelled);
    EXPECT_EQ(tokens[1], 5);
    EXPECT_EQ(tokens[0], 100);
    EXPECT_EQ(engine.stats().free_blocks, engine.stats().total_blocks);
  });
}

TEST_F(EngineTest, StopFromAnotherThreadCancelsWhatIsLive) {
  std::atomic<int> tokens = 0;
  bool cancelled = false;
  testing::run_group(options_, 2, [&](Engine& engine) {
    std::thread other([&] {
      Request request = testing::random_requests(1, 5, 120, 150, 1)[0];
      engine.submit(request);
      while (tokens < 3) std::this_thread::yield();
      engine.stop();
    });
    engine.run([&](std::vector<RequestOutput> outputs) {
      for (const RequestOutput& output : outputs) {
        tokens += output.token >= 0;
        cancelled = cancelled || output.finish != FinishReason::kNone;
      }
    });
    other.join();
  });
  EXPECT_TRUE(cancelled);
}

TEST_F(EngineTest, AWrongOptionIsOneLineThatNamesItOnEveryRank) {
  EngineOptions wrong = options_;
  wrong.max_model_len = 161;
  EXPECT_EQ(error_of(wrong, 2), "--max-model-len is 161, must be from 1 to 160");
  wrong = options_;
  wrong.kv_cache_memory = 10;
  EXPECT_NE(error_of(wrong, 2).find("--kv-cache-memory 10 holds no block of"), std::string::npos);
  wrong = options_;
  wrong.quantization = "w8a8";
  EXPECT_NE(error_of(wrong).find("--quantization w8a8 needs int8 weights"), std::string::npos);
  EXPECT_NE(error_of(options_, 9).find("--tensor-parallel-size is 9"), std::string::npos);
  wrong = options_;
  wrong.model = folder_.path() / "nothing";
  EXPECT_NE(error_of(wrong).find("nothing"), std::string::npos);
}

}  // namespace
}  // namespace octet
