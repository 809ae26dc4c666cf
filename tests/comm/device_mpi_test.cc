// The communicator contract suite on a GPU, with ranks as processes under mpirun that share it:
// over peer memory, and over NCCL where its version allows that. (Ranks as threads of one process
// will not do: one's cudaFree waits for kernels that wait for the others.) Every rank runs every
// check; one that fails ends all with a non-zero code.
#include <fmt/format.h>

#include "kernels/cuda/cuda_backend.h"
#include "tests/comm/contract.h"
#include "tests/comm/device_step.h"
#include "tests/comm/process_checks.h"

int main(int argc, char** argv) {
  using namespace octet;
  World world(&argc, &argv);
  if (cuda_device_count() == 0) {
    fmt::print("[ SKIPPED ] no GPU\n");
    return 0;
  }
  const auto backend = make_cuda_backend(0);
  CommOptions options = testing::contract_options();
  const auto host = world.make_communicator(options);
  for (const char* kind : {"ipc", "nccl"}) {
    options.kind = kind;
    std::unique_ptr<Communicator> communicator;
    try {
      communicator = make_device_communicator(*host, backend->queue(), options);
    } catch (const std::invalid_argument& error) {
      if (world.rank() == 0) fmt::print("[ SKIPPED ] {}: {}\n", kind, error.what());
      continue;
    }
    testing::run_checks(world, kind, *communicator, *backend,
                        {{"AllReduce_SumsInTreeOrder_AtAnySize", testing::check_reduces},
                         {"Gather_PutsUnevenColumnsSideBySide", testing::check_gathers},
                         {"AnySequenceOfOperationsKeepsItsData", testing::check_random_sequence},
                         {"AReplayedStepSumsWhatIsThereNow", testing::check_replayed_step}});
  }
  return 0;
}
