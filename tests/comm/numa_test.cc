// Ranks on hosts that this one is not: hwloc makes them from a description.
#include "comm/numa.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

namespace octet {
namespace {

class Numa : public ::testing::Test {
 protected:
  void TearDown() override { unsetenv("HWLOC_SYNTHETIC"); }
  static void host(const char* description) { setenv("HWLOC_SYNTHETIC", description, 1); }
};

TEST_F(Numa, RanksAreSpreadOverTheNodes) {
  host("numa:2 core:4 pu:1");
  EXPECT_EQ(numa_processors(0, 2), "0-3");
  EXPECT_EQ(numa_processors(1, 2), "4-7");
  EXPECT_EQ(numa_processors(1, 4), "0-3");
  EXPECT_EQ(numa_processors(2, 4), "4-7");
}

TEST_F(Numa, ARankHasSeveralNodesWhereThereAreMoreOfThem) {
  host("numa:4 core:2 pu:2");
  EXPECT_EQ(numa_processors(0, 2), "0-7");
  EXPECT_EQ(numa_processors(1, 2), "8-15");
}

TEST_F(Numa, NobodyIsBoundWhereSharesWouldDiffer) {
  host("numa:2 core:4 pu:1");
  for (const int rank : {0, 1, 2}) EXPECT_EQ(numa_processors(rank, 3), "");
  host("numa:4 core:2 pu:2");
  for (const int rank : {0, 1, 2}) EXPECT_EQ(numa_processors(rank, 3), "");
}

TEST_F(Numa, ALoneRankAndALoneNodeHaveNoShare) {
  host("numa:2 core:4 pu:1");
  EXPECT_EQ(numa_processors(0, 1), "");
  host("numa:1 core:4 pu:1");
  EXPECT_EQ(numa_processors(1, 2), "");
}

// In a process of its own, with the halves of this machine's processors as its nodes.
TEST_F(Numa, ARankIsBoundOnce_AndWhatComesBoundStands) {
  cpu_set_t now;
  ASSERT_EQ(sched_getaffinity(0, sizeof now, &now), 0);
  const int all = CPU_COUNT(&now), half = all / 2;
  if (sysconf(_SC_NPROCESSORS_CONF) != all || all % 2 != 0) {
    GTEST_SKIP() << "this process may run on " << all
                 << " processors, not on an even number and all";
  }
  host(("numa:2 core:" + std::to_string(half) + " pu:1").c_str());
  const pid_t child = fork();
  if (child == 0) {
    setenv("HWLOC_THISSYSTEM", "1", 1);
    bind_to_numa_nodes(1, 2);
    cpu_set_t bound;
    sched_getaffinity(0, sizeof bound, &bound);
    const bool second = CPU_COUNT(&bound) == half && CPU_ISSET(half, &bound);
    const bool stands = numa_processors(0, 2).empty();
    _exit((second ? 0 : 1) + (stands ? 0 : 2));
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0) << "1: not bound; 2: bound again";
}

}  // namespace
}  // namespace octet
