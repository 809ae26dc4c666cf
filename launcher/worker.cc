// octet worker: one rank of a group. mpirun starts it, by hand or from `octet serve`.
#include <memory>

#include "launcher/engine_flags.h"
#include "launcher/exit_codes.h"
#include "launcher/mpirun.h"
#include "launcher/verbs.h"
#include "runtime/coordinator/leader_link.h"
#include "runtime/engine/engine.h"
#include "runtime/engine/plan.h"

namespace octet {
namespace {

struct WorkerFlags {
  EngineOptions engine;
  LeaderLinkOptions link;
  int tensor_parallel_size = 1;  // mpirun's -n
};

int run(const WorkerFlags& flags) {
  return run_in_world("worker", [&](World& world) {
    const EngineOptions options = place_rank(flags.engine, world);
    Plan plan(options, world.size());
    const auto communicator = world.make_communicator(comm_options(plan, world.size()));
    run_rank(std::move(plan), *communicator,
             [&](Engine& engine) { lead_group(engine, flags.link); });
    return kExitOk;
  });
}

}  // namespace

Verb add_worker(CLI::App& octet) {
  auto flags = std::make_shared<WorkerFlags>();
  CLI::App* command = octet.add_subcommand(
      "worker",
      "One rank of a worker group: mpirun -n N octet worker MODEL --coordinator HOST:PORT");
  command
      ->add_option("MODEL", flags->engine.model,
                   "Artefact folder, Hugging Face folder or GGUF file")
      ->required();
  command->add_option("--coordinator", flags->link.coordinator, "HOST:PORT of octet serve")
      ->required();
  command->add_option("--served-model-name", flags->link.served_model_name,
                      "Must be the coordinator's (the last part of MODEL)");
  add_engine_flags(*command, flags->engine, flags->tensor_parallel_size);
  return {command, [flags] {
            if (flags->link.served_model_name.empty()) {
              const auto path = flags->engine.model.lexically_normal();
              flags->link.served_model_name = path.has_filename()
                                                  ? path.filename().string()
                                                  : path.parent_path().filename().string();
            }
            return run(*flags);
          }};
}

}  // namespace octet
