// The contract suite with ranks as processes, under mpirun: shared memory and MPI. Every rank runs
// every check; one that fails ends all with a non-zero code.
#include <fmt/format.h>

#include <cstdio>

#include "kernels/reference/reference_backend.h"
#include "tests/comm/contract.h"

int main(int argc, char** argv) {
  using namespace octet;
  World world(&argc, &argv);
  const auto backend = make_reference_backend();
  for (const char* kind : {"shm", "mpi"}) {
    CommOptions options = testing::contract_options();
    options.kind = world.size() == 1 && std::string(kind) == "shm" ? "local" : kind;
    const auto communicator = world.make_communicator(options);
    const std::pair<const char*, void (*)(Communicator&, Backend&)> checks[] = {
        {"AllReduce_SumsInTreeOrder_AtAnySize", testing::check_reduces},
        {"Gather_PutsUnevenColumnsSideBySide", testing::check_gathers},
        {"Broadcast_BringsAnyMessageToAll", testing::check_broadcasts},
        {"AnySequenceOfOperationsKeepsItsData", testing::check_random_sequence},
        {"MoreRanksThanCoresMakeProgress", testing::check_many_small_reduces}};
    for (const auto& [name, check] : checks) {
      try {
        check(*communicator, *backend);
        if (world.rank() == 0) fmt::print("[ OK ] {} {} at {} ranks\n", kind, name, world.size());
      } catch (const std::exception& error) {
        fmt::print(stderr, "[ FAILED ] {} {}: {}\n", kind, name, error.what());
        world.abort(1);
      }
    }
  }
  return 0;
}
