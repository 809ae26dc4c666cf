// octet serve: the coordinator in this process, and one worker group under mpirun, supervised.
#include <fmt/format.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <mutex>
#include <thread>

#include "kernels/say.h"
#include "launcher/engine_flags.h"
#include "launcher/exit_codes.h"
#include "launcher/flag_checks.h"
#include "launcher/interrupts.h"
#include "launcher/mpirun.h"
#include "launcher/process_group.h"
#include "launcher/verbs.h"
#include "runtime/bench/scale_grid.h"
#include "runtime/coordinator/coordinator.h"
#include "runtime/formats/file.h"
#include "runtime/request/error.h"

namespace octet {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

struct ServeFlags {
  EngineOptions engine;
  CoordinatorOptions coordinator;
  int tensor_parallel_size = 1;
  std::string host = "127.0.0.1";
  int port = 50051;
  std::string hostfile;
  bool external_group = false;
  double grace = 5;                           // seconds
  std::vector<std::string> engine_arguments;  // as given, for the workers
};

// What the coordinator's threads tell the supervisor.
struct GroupState {
  std::atomic<bool> attached = false, lost = false;
  std::atomic<int> ranks = 0;
  std::mutex mutex;
  std::string why;
};

// Ends what is left of a group that was lost; says how it ended.
int end_lost_group(ProcessGroup* group, GroupState& state, bool announced) {
  std::string how = "it was started by hand";
  bool refused = false;
  if (group != nullptr) {
    const auto until = Clock::now() + std::chrono::seconds(3);
    while (!group->poll() && Clock::now() < until) std::this_thread::sleep_for(milliseconds(10));
    const int status = group->terminate(milliseconds(1000));
    how = "mpirun " + describe_status(status);
    refused = !announced && WIFEXITED(status) && WEXITSTATUS(status) == kExitUsage;
  }
  if (refused) return kExitUsage;  // the ranks have said why
  // The leader's stream ends with it; that is what tells the clients.
  const auto until = Clock::now() + std::chrono::seconds(2);
  while (state.attached && !state.lost && Clock::now() < until) {
    std::this_thread::sleep_for(milliseconds(5));
  }
  const std::lock_guard lock(state.mutex);
  say("octet serve: error: the worker group was lost: {}{}{}\n", how, state.why.empty() ? "" : "; ",
      state.why);
  return kExitGroupLost;
}

// `group` is nullptr where somebody else starts the ranks.
int supervise(Coordinator& coordinator, ProcessGroup* group, GroupState& state,
              const ServeFlags& flags, Clock::time_point start) {
  bool announced = false;
  while (true) {
    if (was_interrupted()) {
      const auto grace = milliseconds(static_cast<int64_t>(flags.grace * 1000));
      coordinator.shutdown(grace);
      if (group != nullptr) group->terminate(std::chrono::seconds(5));
      return announced ? kExitOk : kExitInterrupted;
    }
    if (state.lost || (group != nullptr && group->poll())) {
      const int code = end_lost_group(group, state, announced);
      coordinator.shutdown(milliseconds(0), "the worker group was lost");
      return code;
    }
    if (state.attached && !announced) {
      announced = true;
      fmt::print("octet: serving {} on {}:{} (tp {}) ready in {:.2f} s\n",
                 coordinator.served_model_name(), flags.host, coordinator.port(),
                 state.ranks.load(), std::chrono::duration<double>(Clock::now() - start).count());
      std::fflush(stdout);
    }
    std::this_thread::sleep_for(milliseconds(20));
  }
}

void require_hosts(const std::string& hostfile) {
  constexpr uint64_t kMostBytes = 1 << 20;
  if (!std::filesystem::is_regular_file(hostfile)) return;  // none, or one that can be read once
  if (hostfile_slots(read_text_file(hostfile, kMostBytes), hostfile).empty()) {
    throw InputError(fmt::format("{}: names no host", hostfile));
  }
}

int run(ServeFlags& flags) {
  const auto start = Clock::now();
  require_tokenizer(flags.engine, "give a folder that has one");
  if (!flags.external_group) require_hosts(flags.hostfile);
  if (flags.coordinator.max_queue == 0) throw InputError("--max-queue is 0, must be 1 or more");
  keep_interrupts(SecondInterrupt::kIgnored);

  GroupState state;
  flags.coordinator.model = flags.engine.model;
  flags.coordinator.listen = fmt::format("{}:{}", flags.host, flags.port);
  flags.coordinator.on_group_attached = [&](const GroupInfo& group) {
    state.ranks = group.tensor_parallel_size;
    state.attached = true;
  };
  flags.coordinator.on_group_lost = [&](const std::string& why) {
    const std::lock_guard lock(state.mutex);
    state.why = why;
    state.lost = true;
  };
  Coordinator coordinator(flags.coordinator);
  if (flags.external_group) {
    fmt::print("octet: waiting for a worker group on {}:{}\n", flags.host, coordinator.port());
    std::fflush(stdout);
    return supervise(coordinator, nullptr, state, flags, start);
  }
  const std::string dialled = flags.host == "0.0.0.0" ? "127.0.0.1" : flags.host;
  std::vector<std::string> worker{"worker", flags.engine.model.string(),
                                  fmt::format("--coordinator={}:{}", dialled, coordinator.port()),
                                  "--served-model-name=" + coordinator.served_model_name()};
  worker.insert(worker.end(), flags.engine_arguments.begin(), flags.engine_arguments.end());
  ProcessGroup group(mpirun_command(flags.tensor_parallel_size, worker, flags.hostfile));
  return supervise(coordinator, &group, state, flags, start);
}

}  // namespace

Verb add_serve(CLI::App& octet) {
  auto flags = std::make_shared<ServeFlags>();
  CLI::App* command =
      octet.add_subcommand("serve", "Serve a model over gRPC: the coordinator and a worker group");
  command
      ->add_option("MODEL", flags->engine.model,
                   "Artefact folder, Hugging Face folder or GGUF file")
      ->required();
  command->add_option("--host", flags->host, "Address to listen on")->capture_default_str();
  command->add_option("--port", flags->port, "0: any that is free")
      ->check(CLI::Range(0, 65535))
      ->capture_default_str();
  command->add_option("--served-model-name", flags->coordinator.served_model_name,
                      "The model's name for clients (the last part of MODEL)");
  command
      ->add_option("--max-queue", flags->coordinator.max_queue,
                   "Unfinished requests beyond which clients get RESOURCE_EXHAUSTED")
      ->check(whole_number())
      ->capture_default_str();
  command->add_option("--hostfile", flags->hostfile, "mpirun's: hosts for the ranks")
      ->check(CLI::ExistingFile);
  command->add_flag("--external-group", flags->external_group,
                    "Start no ranks: wait for `mpirun ... octet worker` started by hand");
  command->add_option("--grace", flags->grace, "Seconds that live requests get at shutdown")
      ->check(non_negative())
      ->capture_default_str();
  add_engine_flags(*command, flags->engine, flags->tensor_parallel_size);
  return {command, [flags, command] {
            flags->engine_arguments = engine_arguments(*command);
            return run(*flags);
          }};
}

}  // namespace octet
