#include "runtime/engine/scheduler.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

namespace octet {
namespace {

std::unique_ptr<Sequence> sequence(uint64_t id, int prompt, int max_tokens = 4) {
  Request request{.id = id, .prompt = std::vector<int32_t>(prompt, 7), .sampling = {}};
  request.sampling.max_tokens = max_tokens;
  return std::make_unique<Sequence>(std::move(request));
}

SchedulerConfig config(int blocks) {
  return {.max_num_seqs = 8, .max_num_batched_tokens = 16, .block_size = 4, .num_blocks = blocks};
}

class SchedulerTest : public testing::Test {
 protected:
  // One step: "draws" token 1 for each sampled row, ends sequences that have all their tokens.
  bool step(Scheduler& scheduler) {
    if (!scheduler.schedule(input, rows)) return false;
    for (const SampledRow& row : rows) {
      row.sequence->tokens.push_back(1);
      ++generated[row.sequence->request.id];
      if (row.sequence->num_generated() == row.sequence->request.sampling.max_tokens) {
        scheduler.remove(row.sequence->request.id);
      }
    }
    return true;
  }

  ModelInput input;
  std::vector<SampledRow> rows;
  std::map<uint64_t, int> generated;
};

TEST_F(SchedulerTest, PrefillAndDecodeOfManySequencesShareAStep) {
  Scheduler scheduler(config(64));
  scheduler.add(sequence(1, 5));
  ASSERT_TRUE(step(scheduler));
  EXPECT_EQ(input.num_tokens(), 5);
  scheduler.add(sequence(2, 6));
  scheduler.add(sequence(3, 3));
  ASSERT_TRUE(step(scheduler));
  EXPECT_EQ(input.cu_seqlens, (std::vector<int32_t>{0, 1, 7, 10}));
  EXPECT_EQ(input.context_lens, (std::vector<int32_t>{6, 6, 3}));
  EXPECT_EQ(input.sampled_rows, (std::vector<int32_t>{0, 6, 9}));
  EXPECT_EQ(input.positions[0], 5);
  while (step(scheduler)) {
  }
}

TEST_F(SchedulerTest, ALongPromptIsTakenInChunksOfTheBudget) {
  Scheduler scheduler(config(64));
  scheduler.add(sequence(1, 40, 1));
  ASSERT_TRUE(step(scheduler));
  EXPECT_EQ(input.num_tokens(), 16);
  EXPECT_EQ(input.num_sampled(), 0);
  ASSERT_TRUE(step(scheduler));
  EXPECT_EQ(input.positions.front(), 16);
  ASSERT_TRUE(step(scheduler));
  EXPECT_EQ(input.num_tokens(), 8);
  EXPECT_EQ(input.num_sampled(), 1);
  EXPECT_FALSE(step(scheduler));
}

TEST_F(SchedulerTest, WithoutChunkingAPromptWaitsForAStepThatHoldsItWhole) {
  SchedulerConfig whole = config(64);
  whole.chunked_prefill = false;
  Scheduler scheduler(whole);
  scheduler.add(sequence(1, 10));
  scheduler.add(sequence(2, 10));
  ASSERT_TRUE(step(scheduler));
  EXPECT_EQ(input.num_seqs(), 1);
  ASSERT_TRUE(step(scheduler));
  EXPECT_EQ(input.num_tokens(), 11);
  while (step(scheduler)) {
  }
}

TEST_F(SchedulerTest, EverySlotBelongsToTheSequenceThatWritesIt) {
  Scheduler scheduler(config(20));
  for (int id = 1; id <= 8; ++id) scheduler.add(sequence(id, 3 + id, 6));
  while (step(scheduler)) {
    std::set<int32_t> slots(input.slot_mapping.begin(), input.slot_mapping.end());
    ASSERT_EQ(slots.size(), input.slot_mapping.size());
    std::map<int32_t, int> owner;
    for (int s = 0; s < input.num_seqs(); ++s) {
      for (int b = 0; b < (input.context_lens[s] + 3) / 4; ++b) {
        const int32_t block = input.block_tables[s * input.max_blocks + b];
        ASSERT_TRUE(owner.emplace(block, s).second) << "block " << block;
      }
      for (int row = input.cu_seqlens[s]; row < input.cu_seqlens[s + 1]; ++row) {
        const int p = input.positions[row];
        EXPECT_EQ(input.slot_mapping[row],
                  input.block_tables[s * input.max_blocks + p / 4] * 4 + p % 4);
      }
    }
  }
  for (int id = 1; id <= 8; ++id) EXPECT_EQ(generated[id], 6) << id;
  EXPECT_EQ(scheduler.free_blocks(), 20);
}

TEST_F(SchedulerTest, WhenBlocksRunOutTheLastComerWaitsAndKeepsItsTokens) {
  Scheduler scheduler(config(8));  // 32 tokens for two sequences that grow to 20
  scheduler.add(sequence(1, 8, 12));
  scheduler.add(sequence(2, 8, 12));
  while (step(scheduler)) {
  }
  EXPECT_GT(scheduler.preemptions(), 0);
  EXPECT_EQ(generated[1], 12);
  EXPECT_EQ(generated[2], 12);
}

TEST_F(SchedulerTest, NoMoreSequencesThanAllowedShareAStep) {
  Scheduler scheduler(config(64));
  for (int id = 1; id <= 12; ++id) scheduler.add(sequence(id, 1));
  ASSERT_TRUE(step(scheduler));
  EXPECT_EQ(input.num_seqs(), 8);
  EXPECT_EQ(scheduler.num_waiting(), 4);
  while (step(scheduler)) {
  }
}

TEST_F(SchedulerTest, RemovingGivesBlocksBackAtOnce) {
  Scheduler scheduler(config(16));
  scheduler.add(sequence(1, 16, 8));
  ASSERT_TRUE(step(scheduler));
  EXPECT_LT(scheduler.free_blocks(), 16);
  EXPECT_NE(scheduler.remove(1), nullptr);
  EXPECT_EQ(scheduler.free_blocks(), 16);
  EXPECT_EQ(scheduler.remove(1), nullptr);
  EXPECT_FALSE(step(scheduler));
}

TEST_F(SchedulerTest, ASharedBeginningIsComputedOnce_InThisStepOrAnEarlierOne) {
  SchedulerConfig sharing = config(64);
  sharing.prefix_caching = true;
  Scheduler scheduler(sharing);
  scheduler.add(sequence(1, 6));
  scheduler.add(sequence(2, 6));
  ASSERT_TRUE(step(scheduler));
  EXPECT_EQ(input.cu_seqlens, (std::vector<int32_t>{0, 6, 8}));
  EXPECT_EQ(input.context_lens, (std::vector<int32_t>{6, 6}));
  EXPECT_EQ(input.positions.back(), 5);
  EXPECT_EQ(input.block_tables[0], input.block_tables[2]);
  EXPECT_NE(input.block_tables[1], input.block_tables[3]);
  while (step(scheduler)) {
  }
  EXPECT_EQ(scheduler.free_blocks(), 64);
  scheduler.add(sequence(3, 8));
  ASSERT_TRUE(step(scheduler));
  EXPECT_EQ(input.positions, (std::vector<int32_t>{4, 5, 6, 7}));  // the last row is wanted
  while (step(scheduler)) {
  }
  for (int id = 1; id <= 3; ++id) EXPECT_EQ(generated[id], 4) << id;
}

TEST_F(SchedulerTest, ABeginningIsForgottenWhenItsBlocksAreTaken) {
  SchedulerConfig sharing = config(4);
  sharing.prefix_caching = true;
  Scheduler scheduler(sharing);
  auto other = sequence(2, 16, 1);
  for (int32_t& id : other->tokens) id = 9;
  scheduler.add(sequence(1, 9, 1));
  scheduler.add(std::move(other));
  scheduler.add(sequence(3, 9, 1));
  for (const int tokens : {9, 16, 9}) {
    ASSERT_TRUE(step(scheduler));
    EXPECT_EQ(input.num_tokens(), tokens);
  }
}

TEST_F(SchedulerTest, RowsToBeScoredAreComputedAlthoughTheirBlocksAreKnown) {
  SchedulerConfig sharing = config(64);
  sharing.prefix_caching = true;
  Scheduler scheduler(sharing);
  for (const int id : {1, 2}) {
    auto scored = sequence(id, 16, 0);
    scored->request.sampling.prompt_logprobs = true;
    scored->request.sampling.prompt_logprobs_start = 11;
    scheduler.add(std::move(scored));
    ASSERT_TRUE(scheduler.schedule(input, rows));
    EXPECT_EQ(input.positions.front(), id == 1 ? 0 : 8);
    EXPECT_EQ(rows.front().position, 10);
    EXPECT_EQ(rows.back().position, 14);
    scheduler.remove(id);
  }
}

TEST_F(SchedulerTest, ScoringAPromptAsksForEveryRowButTheLast) {
  Scheduler scheduler(config(64));
  auto scored = sequence(1, 20, 0);
  scored->request.sampling.prompt_logprobs = true;
  scheduler.add(std::move(scored));
  ASSERT_TRUE(scheduler.schedule(input, rows));
  EXPECT_EQ(input.num_sampled(), 16);
  ASSERT_TRUE(scheduler.schedule(input, rows));
  EXPECT_EQ(input.num_sampled(), 3);
  EXPECT_EQ(rows.back().position, 18);
  scheduler.remove(1);
}

TEST_F(SchedulerTest, ARowsTemperatureOrScoredTokenGoesWithIt) {
  Scheduler scheduler(config(64));
  auto warm = sequence(1, 4, 5), greedy = sequence(2, 3, 5);
  warm->tokens[2] = warm->request.prompt[2] = 77;
  warm->request.sampling.temperature = 0.5f;
  warm->request.sampling.prompt_logprobs = true;
  warm->request.sampling.prompt_logprobs_start = 2;
  greedy->request.sampling.temperature = 0;
  scheduler.add(std::move(warm));
  scheduler.add(std::move(greedy));
  ASSERT_TRUE(scheduler.schedule(input, rows));
  EXPECT_EQ(input.sampled_rows, (std::vector<int32_t>{1, 2, 3, 6}));
  EXPECT_EQ(input.inverse_temperatures, (std::vector<float>{0, 0, 2, 0}));
  EXPECT_EQ(input.scored_tokens, (std::vector<int32_t>{77, 7, -1, -1}));
}

}  // namespace
}  // namespace octet
