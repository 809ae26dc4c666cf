// octet_bench: what the kernels, the communicators and whole models reach of this machine's limits,
// which the same run measures. Every figure is the median of five repetitions.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <fstream>
#include <functional>
#include <thread>

#include "bench/comm.h"
#include "bench/kernels.h"
#include "bench/limits.h"
#include "bench/model_speed.h"
#include "bench/reporter.h"
#include "kernels/say.h"
#include "launcher/engine_flags.h"
#include "launcher/exit_codes.h"
#include "launcher/mpirun.h"
#include "runtime/request/error.h"

namespace octet::bench {
namespace {

struct Flags {
  EngineOptions engine;
  int tensor_parallel_size = 1, comm_ranks = 2;
  DecodeCase decode{.batches = {1, 4, 8, 16, 32}, .context = 64, .tokens = 16};
  std::vector<int> prompts{512};
  std::string filter = ".";
};

void print_machine() {
  std::ifstream in("/proc/cpuinfo");
  std::string model = "?";
  for (std::string line; std::getline(in, line);) {
    if (!line.starts_with("model name")) continue;
    model = line.substr(line.find(':') + 2);
    break;
  }
  fmt::print("{}, {} cores, instruction sets {}\n", model, std::thread::hardware_concurrency(),
             fmt::join(available_isas(), ", "));
}

int threads_or_all(int threads) {
  return threads > 0 ? threads : static_cast<int>(std::thread::hardware_concurrency());
}

// In a world of so many ranks; with more than one, this program starts itself again under mpirun.
int in_world(int ranks, const std::function<void(World&)>& body) {
  if (ranks > 1 && !World::launched_by_mpi()) return run_under_mpirun(ranks);
  return run_in_world("bench", [&](World& world) {
    if (world.rank() == 0) print_machine();
    body(world);
    return 0;
  });
}

int run(int argc, char** argv) {
  CLI::App app{"What Octet reaches of this machine's limits", "octet_bench"};
  app.require_subcommand(1);
  Flags flags;
  EngineOptions& engine = flags.engine;
  int code = 0;

  CLI::App* limits = app.add_subcommand("limits", "Memory, caches, arithmetic; 1 thread and all");
  limits->callback([&] {
    print_machine();
    print_header();
    measure_limits(1);
    if (threads_or_all(0) > 1) measure_limits(threads_or_all(0));
  });

  CLI::App* kernels = app.add_subcommand("kernels", "The back end's operations one by one");
  kernels->add_option("--filter", flags.filter, "Only names that match this regular expression");
  kernels->add_option("--threads", engine.threads, "0: all cores");
  kernels->add_option("--isa", engine.isa, "Instruction set: auto, avx2, avx512-vnni, amx-int8");
  kernels->add_option("--quantization", engine.quantization, "llm-int8 or w8a8")
      ->check(CLI::IsMember({"auto", "llm-int8", "w8a8"}));
  kernels->callback([&] {
    print_machine();
    print_header();
    const int threads = threads_or_all(engine.threads);
    run_kernels({.isa = engine.isa, .threads = threads},
                engine.quantization == "w8a8" ? Int8Product::kW8A8 : Int8Product::kLlmInt8,
                measure_limits(threads), flags.filter);
  });

  CLI::App* comm = app.add_subcommand("comm", "All-reduces between ranks, Open MPI's beside them");
  add_tensor_parallel_flag(*comm, flags.comm_ranks);
  comm->add_option("--communicator", engine.communicator, "auto, shm or mpi");
  comm->callback([&] {
    code =
        in_world(flags.comm_ranks, [&](World& world) { bench_comm(world, engine.communicator); });
  });

  const auto model_command = [&](const char* name, const char* help) {
    CLI::App* command = app.add_subcommand(name, help);
    command->add_option("MODEL", engine.model, "As for octet generate")->required();
    add_engine_flags(*command, engine, flags.tensor_parallel_size);
    return command;
  };
  CLI::App* decode = model_command("decode", "Steps of a whole model, a token a sequence");
  decode->add_option("--batch", flags.decode.batches, "Sequences together")->delimiter(',');
  decode->add_option("--context", flags.decode.context, "Tokens of each prompt");
  decode->add_option("--tokens", flags.decode.tokens, "Steps of a run");
  decode->add_flag("--logprobs", flags.decode.logprobs, "With the tokens' log-probabilities");
  decode->callback([&] {
    code = in_world(flags.tensor_parallel_size, [&](World& world) {
      engine = place_rank(engine, world);
      bench_decode(world, engine, flags.decode);
    });
  });
  CLI::App* prefill =
      model_command("prefill", "A prompt through a whole model, to its first token");
  prefill->add_option("--prompt", flags.prompts, "Tokens")->delimiter(',');
  prefill->callback([&] {
    code = in_world(flags.tensor_parallel_size, [&](World& world) {
      engine = place_rank(engine, world);
      bench_prefill(world, engine, flags.prompts);
    });
  });

  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& help) {
    return app.exit(help);
  } catch (const CLI::ParseError& error) {
    say("octet_bench: error: {}\n", error.what());
    return kExitUsage;
  } catch (const InputError& error) {
    say("octet_bench: error: {}\n", error.what());
    return exit_code_of(error);
  } catch (const std::exception& error) {
    say("octet_bench: error: {}\n", error.what());
    return kExitBug;
  }
  return code;
}

}  // namespace
}  // namespace octet::bench

int main(int argc, char** argv) { return octet::bench::run(argc, argv); }
