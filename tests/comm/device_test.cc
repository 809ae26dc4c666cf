// The communicator contract suite for devices, on the emulation, with ranks as threads of this
// process that share one device: over peer memory and over NCCL.
#include <cuda_runtime.h>
#include <gtest/gtest.h>

#include "comm/nccl/binding.h"
#include "kernels/cuda/cuda_backend.h"
#include "tests/comm/contract.h"
#include "tests/comm/device_ranks.h"
#include "tests/comm/device_step.h"
#include "tests/comm/nccl_under_test.h"

namespace octet {
namespace {

using testing::DeviceRank;
using testing::run_device_ranks;

class DeviceRanks : public ::testing::TestWithParam<std::tuple<std::string, int>> {
 protected:
  void SetUp() override {
    const auto& [kind, size] = GetParam();
    if (cuda_device_count() == 0) GTEST_SKIP() << "no GPU";
    if (kind == "nccl" && size > 1 &&
        testing::nccl_under_test().version() < peers::kNcclSharesGpus) {
      GTEST_SKIP() << "this NCCL refuses several ranks on one GPU";
    }
  }

  void run(void (*check)(Communicator&, Backend&)) {
    const auto& [kind, size] = GetParam();
    run_device_ranks(kind, size, testing::contract_options(),
                     [&](DeviceRank& rank) { check(*rank.communicator, *rank.backend); });
  }
};

TEST_P(DeviceRanks, AllReduce_SumsInTreeOrder_AtAnySize) { run(testing::check_reduces); }
TEST_P(DeviceRanks, Gather_PutsUnevenColumnsSideBySide) { run(testing::check_gathers); }
TEST_P(DeviceRanks, AnySequenceOfOperationsKeepsItsData) { run(testing::check_random_sequence); }

TEST_P(DeviceRanks, AReplayedStepSumsWhatIsThereNow) { run(testing::check_replayed_step); }

TEST_P(DeviceRanks, APeerThatNeverComesIsLostAfterTheTimeout) {
  const auto& [kind, size] = GetParam();
  if (size == 1) GTEST_SKIP() << "no peers";
  CommOptions options = testing::contract_options();
  options.timeout = std::chrono::milliseconds(300);
  run_device_ranks(kind, size, options, [&](DeviceRank& rank) {
    if (rank.communicator->rank() == 1) return;
    const Tensor values = rank.backend->allocate(DType::kF32, {100});
    const Tensor sum = rank.backend->allocate(DType::kF32, {100});
    const ReducePlan plan(size, size);
    EXPECT_THROW(
        {
          rank.communicator->all_reduce_sum(plan, values.span<const float>(), sum.span<float>());
          rank.communicator->settle();
        },
        RankLost);
  });
}

INSTANTIATE_TEST_SUITE_P(Ranks, DeviceRanks,
                         ::testing::Combine(::testing::Values("ipc", "nccl"),
                                            ::testing::Values(1, 2, 3, 4, 8)),
                         [](const auto& info) {
                           return std::get<0>(info.param) + "_" +
                                  std::to_string(std::get<1>(info.param));
                         });

TEST(Binding, RanksOnOneGpuAreNamed) {
  peers::Binding a{.process = 1}, b{.process = 2};
  std::ranges::copy("node7 boot", a.host.begin());
  std::ranges::copy("0000:3b:00.0", a.bus_id.begin());
  b.host = a.host;
  b.bus_id = a.bus_id;
  EXPECT_EQ(peers::shared_gpu({a, b}), "rank 0 and rank 1 share the GPU 0000:3b:00.0 of node7");
  b.bus_id[5] = '4';
  EXPECT_EQ(peers::shared_gpu({a, b}), "");
}

}  // namespace
}  // namespace octet
