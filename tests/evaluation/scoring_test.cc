// Perplexity and tasks over the project's own small model, and files of tasks that are wrong.
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>

#include "runtime/evaluation/perplexity.h"
#include "runtime/evaluation/tasks.h"
#include "tests/formats/expect_input_error.h"
#include "tests/formats/temp_folder.h"
#include "tests/testing/group.h"

namespace octet {
namespace {

namespace fs = std::filesystem;

const fs::path kModel = fs::path(OCTET_SOURCE_DIR) / "tests/data/tinystories";

class Scoring : public ::testing::Test {
 protected:
  fs::path file(const std::string& lines) {
    const fs::path path = folder_.path() / "task.jsonl";
    std::ofstream(path) << lines;
    return path;
  }

  // Choices that share a question, questions that share their shots.
  static Task choices() {
    Task task{.name = "choices"};
    for (const char* name : {"Lily", "Tom", "Ben", "Mia"}) {
      task.examples.push_back(
          {.query =
               std::string("One day, a child named ") + name + " went to the park to play. " + name,
           .choices = {"saw a big dog.", "saw a dog and was happy.", "ate the sky."},
           .gold = 1});
    }
    return task;
  }

  static void run(const EngineOptions& options, int ranks,
                  const std::function<void(Engine&)>& lead) {
    EngineOptions own = options;
    own.model = kModel;
    testing::run_group(own, ranks, lead);
  }

  const std::unique_ptr<Tokenizer> tokenizer_ = load_tokenizer(kModel);
  TempFolder folder_;
};

TEST_F(Scoring, AScoreIsTheSumOfTheContinuationsLogProbabilities) {
  run({}, 1, [&](Engine& engine) {
    const std::vector<int32_t> ids =
        tokenizer_->encode("Once upon a time there was a dog", true, false);
    const ScoredText all{.ids = ids, .start = 1}, end{.ids = ids, .start = 4};
    ScoredText begin = all;
    begin.ids.resize(4);
    const std::vector<Score> scores = score_all(engine, std::vector{all, end, begin}, {});
    EXPECT_NEAR(scores[0].logprob, scores[1].logprob + scores[2].logprob, 1e-5);
    EXPECT_EQ(scores[0].tokens, scores[1].tokens + scores[2].tokens);
    EXPECT_LT(scores[1].logprob, 0);
  });
}

TEST_F(Scoring, SharedBeginningsAreComputedOnce_AndNoScoreChanges) {
  const Task task = choices();
  std::vector<TaskResult> results;
  std::vector<uint64_t> computed;
  for (const bool shared : {false, true}) {
    for (const int ranks : {1, 3}) {
      run({.enable_prefix_caching = shared, .block_size = 4}, ranks, [&](Engine& engine) {
        results.push_back(run_task(engine, *tokenizer_, task, {.shots = 2}, {}));
        computed.push_back(engine.stats().computed_tokens);
      });
    }
  }
  EXPECT_LT(computed[2], computed[0] / 3);
  EXPECT_EQ(computed[3], computed[2]);
  for (const TaskResult& result : results) {
    EXPECT_EQ(result.examples, 2);
    EXPECT_EQ(result.acc, results[0].acc);
    EXPECT_EQ(result.acc_norm, results[0].acc_norm);
  }
}

TEST_F(Scoring, PerplexityIsTheSameAtAnyNumberOfRanks_AndCountsEachTokenOnce) {
  std::string text;
  for (int i = 0; i < 20; ++i) text += "The little girl had a red ball and she was happy. ";
  const auto tokens = static_cast<int64_t>(tokenizer_->encode(text, true, false).size());
  std::vector<Perplexity> found;
  for (const int ranks : {1, 2}) {
    for (const int stride : {64, 32}) {
      run({.max_model_len = 64}, ranks, [&](Engine& engine) {
        found.push_back(measure_perplexity(engine, *tokenizer_, text, {.stride = stride}, {}));
      });
    }
  }
  EXPECT_EQ(found[1].tokens, tokens - 1);
  EXPECT_EQ(found[0].tokens, tokens - (tokens + 63) / 64);
  EXPECT_EQ(found[0].nll, found[2].nll);
  EXPECT_EQ(found[1].nll, found[3].nll);
  EXPECT_LT(found[1].nll, found[0].nll);  // more of the text before each token
}

TEST_F(Scoring, AnExampleThatCannotBeScoredIsNamed) {
  Task task = choices();
  task.examples[2].query = "";
  run({}, 1, [&](Engine& engine) {
    EXPECT_INPUT_ERROR(run_task(engine, *tokenizer_, task, {}, {}), "choices, example 3",
                       "cannot be scored");
    EXPECT_INPUT_ERROR(run_task(engine, *tokenizer_, task, {.shots = 4}, {}),
                       "4 examples are too few for 4 shots");
  });
}

TEST_F(Scoring, ASpaceBeforeAContinuationOrAChoiceIsNotPutInTwice) {
  const Task greedy = read_task(file(R"({"context": "a", "continuation": " b"})"), "task");
  EXPECT_EQ(greedy.examples[0].choices, std::vector<std::string>{"b"});
  const Task choice =
      read_task(file(R"({"query": "a", "choices": [" b", "c"], "gold": 1})"), "task");
  EXPECT_EQ(choice.examples[0].choices, (std::vector<std::string>{"b", "c"}));
}

TEST_F(Scoring, AWrongLineOfATaskFileIsNamedByItsNumberAndField) {
  const std::string sound = R"({"query": "a", "choices": ["b", "c"], "gold": 1})"
                            "\n";
  const std::pair<const char*, const char*> wrong[] = {
      {"nope", "not JSON"},
      {"", "not JSON"},
      {"[1]", "not a JSON object"},
      {R"({"query": "a\xff", "choices": ["b", "c"], "gold": 0})", "not JSON"},
      {R"({"choices": ["b", "c"], "gold": 0})", "field \"query\" is missing"},
      {R"({"query": 1, "choices": ["b", "c"], "gold": 0})", "field \"query\" is not a string"},
      {R"({"query": "a", "choices": ["b"], "gold": 0})", "field \"choices\""},
      {R"({"query": "a", "choices": ["b", ""], "gold": 0})", "field \"choices\""},
      {R"({"query": "a", "choices": ["b", "c"], "gold": 2})", "field \"gold\""},
      {R"({"query": "a", "choices": ["b", "c"], "gold": 1e30})", "field \"gold\""},
      {R"({"query": "a", "choices": ["b", "c"], "gold": -1})", "field \"gold\""},
      {R"({"context": "a", "continuation": ""})", "field \"continuation\" is empty"},
      {R"({"context": "a", "continuation": "b"})", "another kind of example than the first"},
  };
  for (const auto& [line, message] : wrong) {
    const fs::path path = file(sound + line + "\n");
    EXPECT_INPUT_ERROR(read_task(path, "task"), path.string() + ":2:", message);
  }
  EXPECT_INPUT_ERROR(read_task(file(""), "task"), "has no examples");
  EXPECT_INPUT_ERROR(read_task(folder_.path(), "task"), "cannot be read");
  EXPECT_INPUT_ERROR(read_task(folder_.path() / "none", "task"), "none: no such file");
  EXPECT_EQ(read_task(file(sound + sound), "piqa").delimiter, "\nAnswer: ");
}

}  // namespace
}  // namespace octet
