// The contract suite with ranks as threads, the plan, and what happens when a rank that is a
// process dies.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <thread>

#include "comm/shm/mapping.h"
#include "comm/shm/shared_communicator.h"
#include "kernels/reference/reference_backend.h"
#include "tests/comm/contract.h"

namespace octet {
namespace {

class ThreadRanks : public ::testing::TestWithParam<int> {
 protected:
  void run(void (*check)(Communicator&, Backend&)) {
    auto ranks = make_thread_communicators(GetParam(), testing::contract_options());
    std::vector<std::thread> threads;
    std::vector<std::string> errors(ranks.size());
    for (size_t rank = 0; rank < ranks.size(); ++rank) {
      threads.emplace_back([&, rank] {
        try {
          check(*ranks[rank], *make_reference_backend());
        } catch (const std::exception& error) {
          errors[rank] = error.what();
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    for (const std::string& error : errors) EXPECT_EQ(error, "");
  }
};

TEST_P(ThreadRanks, AllReduce_SumsInTreeOrder_AtAnySize) { run(testing::check_reduces); }
TEST_P(ThreadRanks, Gather_PutsUnevenColumnsSideBySide) { run(testing::check_gathers); }
TEST_P(ThreadRanks, Broadcast_BringsAnyMessageToAll) { run(testing::check_broadcasts); }
TEST_P(ThreadRanks, AnySequenceOfOperationsKeepsItsData) { run(testing::check_random_sequence); }
TEST_P(ThreadRanks, MoreRanksThanCoresMakeProgress) { run(testing::check_many_small_reduces); }

INSTANTIATE_TEST_SUITE_P(Ranks, ThreadRanks, ::testing::Values(1, 2, 3, 4, 8));

// Who adds: ranks in the norm that comes next, or, many of them with many floats, the reduce.
TEST(SharedCommunicator, FewRanksOrFloatsLeaveTheSumToItsReader) {
  const auto unfolded = [](int size, size_t floats, bool in_parts = false) {
    auto ranks = make_thread_communicators(size, {});
    const ReducePlan plan(size, size);
    std::vector<int> found(static_cast<size_t>(size));
    std::vector<std::thread> threads;
    for (int rank = 0; rank < size; ++rank) {
      threads.emplace_back([&, rank] {
        std::vector<float> roots(floats, 1), out(floats);
        found[rank] = !ranks[rank]->all_reduce_unfolded(plan, roots, out, in_parts).empty();
      });
    }
    for (std::thread& thread : threads) thread.join();
    return std::ranges::count(found, 1);
  };
  EXPECT_EQ(unfolded(2, 100'000), 2);
  EXPECT_EQ(unfolded(4, 100'000), 4);
  EXPECT_EQ(unfolded(5, 16'384), 5);
  EXPECT_EQ(unfolded(5, 16'385), 0);
  EXPECT_EQ(unfolded(5, 16'385, true), 5);
}

TEST(ReducePlan, ARankBeyondTheShardsSendsNothing) {
  const ReducePlan plan(3, 5);
  EXPECT_EQ(plan.num_roots(), 3);
  EXPECT_EQ(plan.num_roots(4), 0);
  EXPECT_EQ(plan.max_roots_per_rank(), 1);
  EXPECT_EQ(ReducePlan(8, 3).max_roots_per_rank(), 2);
}

// Ranks by fork over one mapping; rank 2 is killed while the others reduce without end.
TEST(ProcessRanks, WhenOneIsKilledTheOthersThrowWithinASecond) {
  const RegionLayout layout{.size = 3, .buffer_floats = 1024, .message_bytes = 1024};
  const auto memory = map_anonymous(layout.bytes());
  const auto live = [&](int rank) {
    SharedCommunicator communicator("shm", SharedRegion(memory, layout), rank,
                                    std::chrono::seconds(30), true);
    const ReducePlan plan(3, 3);
    std::vector<float> root(100, 1), out(100);
    try {
      while (true) communicator.all_reduce_sum(plan, root, out);
    } catch (const RankLost& lost) {
      _exit(std::string(lost.what()).find("rank 2") != std::string::npos ? 42 : 41);
    }
  };
  pid_t pids[3];
  for (int rank = 0; rank < 3; ++rank) {
    pids[rank] = fork();
    if (pids[rank] == 0) live(rank);
  }
  usleep(200000);
  const auto start = std::chrono::steady_clock::now();
  kill(pids[2], SIGKILL);
  for (int rank = 0; rank < 2; ++rank) {
    int status = 0;
    waitpid(pids[rank], &status, 0);
    EXPECT_EQ(WEXITSTATUS(status), 42) << "rank " << rank;
  }
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(1));
  waitpid(pids[2], nullptr, 0);
}

TEST(ProcessRanks, ANamedMappingLeavesNoNameBehind) {
  const std::string name = "/octet-test-" + std::to_string(getpid());
  const auto memory = map_named(name, 8192, true);
  const auto again = map_named(name, 8192, false);
  unlink_named(name);
  memory.get()[5] = std::byte{9};
  EXPECT_EQ(again.get()[5], std::byte{9});
  EXPECT_FALSE(std::filesystem::exists("/dev/shm" + name));
}

TEST(SharedCommunicator, ASilentPeerIsLostAfterTheTimeout) {
  auto ranks = make_thread_communicators(2, {.timeout = std::chrono::milliseconds(100)});
  EXPECT_THROW(ranks[0]->barrier(), RankLost);
  ranks[1]->barrier();  // rank 0 came to this one
  EXPECT_THROW(ranks[1]->barrier(), RankLost);
}

}  // namespace
}  // namespace octet
