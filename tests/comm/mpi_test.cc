// The contract suite with ranks as processes, under mpirun: shared memory and MPI. Every rank runs
// every check; one that fails ends all with a non-zero code.
#include "kernels/reference/reference_backend.h"
#include "tests/comm/contract.h"
#include "tests/comm/process_checks.h"

int main(int argc, char** argv) {
  using namespace octet;
  World world(&argc, &argv);
  const auto backend = make_reference_backend();
  for (const char* kind : {"shm", "mpi"}) {
    CommOptions options = testing::contract_options();
    options.kind = world.size() == 1 && std::string(kind) == "shm" ? "local" : kind;
    const auto communicator = world.make_communicator(options);
    testing::run_checks(world, kind, *communicator, *backend,
                        {{"AllReduce_SumsInTreeOrder_AtAnySize", testing::check_reduces},
                         {"Gather_PutsUnevenColumnsSideBySide", testing::check_gathers},
                         {"Broadcast_BringsAnyMessageToAll", testing::check_broadcasts},
                         {"AnySequenceOfOperationsKeepsItsData", testing::check_random_sequence},
                         {"MoreRanksThanCoresMakeProgress", testing::check_many_small_reduces}});
  }
  return 0;
}
