// The ledger of a rank, computed before it takes anything, against what the rank then took: every
// family, quantised and not, at several sizes.
#include "runtime/engine/rank_ledger.h"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>
#include <vector>

#include "kernels/backend_factory.h"
#include "runtime/engine/engine.h"
#include "runtime/engine/worker.h"
#include "runtime/request/error.h"
#include "tests/testing/formula_model.h"
#include "tests/testing/group.h"
#include "tests/testing/tiny_model.h"

namespace octet {
namespace {

namespace fs = std::filesystem;

const fs::path kFolder = fs::path(OCTET_SOURCE_DIR) / "tests/models/families";

void expect_as_planned(const EngineOptions& options, int size) {
  const Plan plan(options, size);
  auto communicators = make_thread_communicators(size, comm_options(plan, size));
  std::vector<std::jthread> ranks;  // they meet while they load
  for (int rank = 0; rank < size; ++rank) {
    ranks.emplace_back([&, rank] {
      Worker worker(plan.options, *plan.files.checkpoint, plan.files.args, plan.partition,
                    *communicators[rank]);
      const RankLedger planned = rank_ledger(plan, worker.backend(), rank, size);
      const MemoryLedger& taken = worker.memory();
      EXPECT_EQ(planned.weights, taken.weights) << rank << " of " << size;
      EXPECT_EQ(planned.scratch, taken.scratch) << rank << " of " << size;
      EXPECT_EQ(planned.kv_cache, taken.kv_cache) << rank << " of " << size;
      EXPECT_EQ(planned.workspace + planned.input, taken.workspace) << rank << " of " << size;
    });
  }
}

class RankLedgerOfFamily : public ::testing::TestWithParam<std::string> {};

TEST_P(RankLedgerOfFamily, IsWhatTheRankTakes_ToTheByte) {
  const testing::TempFolder folder;
  const auto model = nlohmann::json::parse(std::ifstream(kFolder / (GetParam() + ".json")));
  const fs::path source = testing::write_formula_model(folder.path() / "model", model);
  const fs::path artefacts[] = {testing::quantize(source, folder.path() / "int8"),
                                testing::quantize(source, folder.path() / "head", true)};
  EngineOptions options{.threads = 1};
  for (const char* device : {"cpu", "reference", "cuda"}) {
    const bool cuda = device == std::string("cuda");
    if (cuda && !cuda_available()) continue;
    options.device = device;
    for (const int size : {1, 3}) {
      if (cuda && size > 1) continue;  // a device's communicator needs all its ranks at once
      options.kv_cache_dtype = size == 1 ? "auto" : "int8";
      options.model = source;
      expect_as_planned(options, size);
      for (const fs::path& artefact : artefacts) {
        options.model = artefact;
        expect_as_planned(options, size);
        EngineOptions dequantised = options;
        dequantised.quantization = "none";
        expect_as_planned(dequantised, size);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, RankLedgerOfFamily,
                         ::testing::ValuesIn(testing::model_names(kFolder)), [](const auto& info) {
                           std::string name = info.param;
                           std::ranges::replace_if(
                               name, [](char c) { return !std::isalnum(c); }, '_');
                           return name;
                         });

TEST(RankLedger, WhatIsReadFirstDoesNotLieTwiceBesideWhatIsReadLater) {
  // The head comes before the layers: 256000 x 18432 values of 16 bits are 8.8 GiB.
  const Plan plan(EngineOptions{.model = "palm-540b",
                                .load_format = "dummy",
                                .num_hidden_layers = 2,
                                .max_model_len = 128,
                                .max_num_seqs = 2,
                                .max_num_batched_tokens = 32},
                  1);
  const auto backend = make_backend({.device = "cpu", .threads = 1});
  const RankLedger ledger = rank_ledger(plan, *backend, 0, 1);
  EXPECT_GT(ledger.staging, size_t{1} << 30);  // a layer's up and gate
  EXPECT_LT(ledger.staging, size_t{3} << 30);
}

TEST(RankLedger, AnInt8HeadIsHalfTheBytes_BesideAnEmbeddingThatIsTied) {
  const auto backend = make_backend({.device = "reference", .threads = 1});
  const auto weights = [&](const char* preset, const char* head) {
    const Plan plan(EngineOptions{.model = preset,
                                  .load_format = "dummy",
                                  .head = head,
                                  .num_hidden_layers = 1,
                                  .max_model_len = 64},
                    1);
    return static_cast<int64_t>(rank_ledger(plan, *backend, 0, 1).weights);
  };
  const auto more = [&](const char* preset) {
    return weights(preset, "int8") - weights(preset, "keep");
  };
  constexpr int64_t kTied = 49152 * (576 + 4), kUntied = 32000 * (4 - 2048);
  EXPECT_NEAR(more("smollm2-135m"), kTied, 4096);  // what allocations are rounded to
  EXPECT_NEAR(more("tinyllama-1.1b"), kUntied, 4096);
}

TEST(RankLedger, AGroupThatDoesNotFitIsRefusedBeforeItLoads_WithItsParts) {
  const testing::TempFolder folder;
  const EngineOptions options{.model = testing::write_tiny_llama(folder.path() / "m", {})};
  const Plan plan(options, 2);
  const auto backend = make_backend({.device = "cpu", .threads = 1});
  const RankLedger ledger = rank_ledger(plan, *backend, 0, 2);
  const size_t more = ledger.peak() - ledger.communication;  // whose buffers are there
  require_memory(ledger, plan.options, 2, {.available = 2 * more});
  try {
    require_memory(ledger, plan.options, 2, {.available = 2 * more - 1});
    FAIL() << "fits";
  } catch (const InputError& error) {
    EXPECT_NE(std::string(error.what()).find("2 rank(s) here need"), std::string::npos)
        << error.what();
  }
  EngineOptions apart = plan.options;
  apart.ranks_on_host = 1;
  require_memory(ledger, apart, 2, {.available = ledger.peak()});
}

TEST(RankLedger, RanksWithDevicesOfTheirOwnShareNoMemory) {
  const testing::TempFolder folder;
  const EngineOptions options{.model = testing::write_tiny_llama(folder.path() / "m", {})};
  const Plan plan(options, 3);
  const auto backend = make_backend({.device = "cpu", .threads = 1});
  const RankLedger ledger = rank_ledger(plan, *backend, 0, 3);
  const size_t one = ledger.on_device();
  require_memory(ledger, plan.options, 3, {.available = one, .devices = 3});
  require_memory(ledger, plan.options, 3, {.available = 2 * one, .devices = 2});
  EXPECT_THROW(require_memory(ledger, plan.options, 3, {.available = 2 * one - 1, .devices = 2}),
               InputError);
}

}  // namespace
}  // namespace octet
