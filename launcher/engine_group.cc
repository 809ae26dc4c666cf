#include "launcher/engine_group.h"

#include <fmt/format.h>

#include "kernels/say.h"
#include "launcher/engine_flags.h"
#include "launcher/mpirun.h"
#include "runtime/engine/plan.h"
#include "runtime/request/error.h"

namespace octet {

bool needs_mpirun(const EngineOptions& options, int tensor_parallel_size) {
  return !World::launched_by_mpi() && tensor_parallel_size > 1 && options.communicator != "lone";
}

int run_engine_group(const char* verb, const EngineOptions& options, int tensor_parallel_size,
                     const std::function<void(Engine&)>& work) {
  return run_in_world(verb, [&](World& world) {
    const EngineOptions own = place_rank(options, world);
    const bool lone = own.communicator == "lone";
    if (!lone && tensor_parallel_size > 1 && tensor_parallel_size != world.size()) {
      throw InputError(fmt::format("--tensor-parallel-size is {}, mpirun started {} rank(s)",
                                   tensor_parallel_size, world.size()));
    }
    const int size = lone ? tensor_parallel_size : world.size();
    if (lone) say("octet: rank 0 of {} runs alone: its answers are not the model's\n", size);
    Plan plan(own, size);
    CommOptions comm = comm_options(plan, size);
    comm.lone_size = size;
    const auto communicator = world.make_communicator(comm);
    run_rank(std::move(plan), *communicator, work);
    return 0;
  });
}

}  // namespace octet
