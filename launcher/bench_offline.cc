// octet bench throughput and octet bench latency: the speed of a worker group, without a server.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <memory>

#include "comm/communicator_factory.h"
#include "launcher/bench_verbs.h"
#include "launcher/engine_flags.h"
#include "launcher/engine_group.h"
#include "launcher/exit_codes.h"
#include "launcher/flag_checks.h"
#include "launcher/interrupts.h"
#include "launcher/load_flags.h"
#include "launcher/mpirun.h"
#include "launcher/progress.h"
#include "runtime/bench/offline.h"
#include "runtime/bench/result_file.h"

namespace octet {
namespace {

struct OfflineFlags {
  EngineOptions engine;
  int tensor_parallel_size = 1;
  std::string output_json;
};

struct ThroughputFlags : OfflineFlags {
  size_t num_prompts = 100;
  uint64_t seed = 0;
  std::string input_len = "128", output_len = "64";
  double range_ratio = 0;
};

struct LatencyFlags : OfflineFlags {
  LatencyOptions latency;
};

// Runs `measure` on the leader of a group and writes what it answers.
int run_group(const char* verb, const OfflineFlags& flags,
              const std::function<nlohmann::ordered_json(Engine&)>& measure) {
  if (!World::launched_by_mpi()) require_writable(flags.output_json);
  if (needs_mpirun(flags.engine, flags.tensor_parallel_size)) {
    return run_under_mpirun(flags.tensor_parallel_size);
  }
  keep_interrupts(SecondInterrupt::kEnds);
  const auto work = [&](Engine& engine) {
    nlohmann::ordered_json result = measure(engine);
    result["interrupted"] = was_interrupted();
    result["model"] = flags.engine.model.string();
    result["tensor_parallel_size"] = engine.info().tensor_parallel_size;
    if (!flags.output_json.empty()) replace_text_file(flags.output_json, result.dump(2) + "\n");
  };
  const int code = run_engine_group(verb, flags.engine, flags.tensor_parallel_size, work);
  return code == kExitOk && was_interrupted() ? kExitInterrupted : code;
}

OfflineWatch watch_with(Progress& progress, const char* label) {
  return {.progress = [&progress, label](size_t done,
                                         size_t total) { progress.update(label, done, total); },
          .interrupted = was_interrupted};
}

int run_throughput(ThroughputFlags& flags) {
  const RandomWorkload workload{
      .input = LengthDistribution::parse(flags.input_len, "--random-input-len", flags.range_ratio),
      .output =
          LengthDistribution::parse(flags.output_len, "--random-output-len", flags.range_ratio),
      .count = flags.num_prompts,
      .seed = flags.seed};
  return run_group("bench throughput", flags, [&](Engine& engine) {
    PromptMaker prompts(engine.info().vocab_size, 0, flags.seed);
    const std::vector<PlannedRequest> requests = plan_random(workload, prompts);
    Throughput result;
    {
      Progress progress("bench throughput", "requests", 1);
      result = measure_throughput(engine, requests, watch_with(progress, "answered"));
    }
    fmt::print("{}", throughput_text(result));
    std::fflush(stdout);
    return throughput_json(result);
  });
}

int run_latency(LatencyFlags& flags) {
  flags.engine.max_num_seqs = std::max(flags.engine.max_num_seqs, flags.latency.batch_size);
  return run_group("bench latency", flags, [&](Engine& engine) {
    BatchLatency result;
    {
      Progress progress("bench latency", "iterations", 1);
      result = measure_latency(engine, flags.latency, watch_with(progress, "done"));
    }
    fmt::print("{}", latency_text(result));
    std::fflush(stdout);
    return latency_json(result);
  });
}

void add_common(CLI::App& command, OfflineFlags& flags) {
  command
      .add_option("MODEL", flags.engine.model, "Artefact folder, Hugging Face folder or GGUF file")
      ->required();
  command.add_option("--output-json", flags.output_json, "A file for the results");
  add_engine_flags(command, flags.engine, flags.tensor_parallel_size);
}

}  // namespace

Verb add_bench_throughput(CLI::App& bench) {
  auto flags = std::make_shared<ThroughputFlags>();
  CLI::App* command =
      bench.add_subcommand("throughput", "Tokens/s of a model when all requests come at once");
  command->add_option("--num-prompts", flags->num_prompts, "Requests")
      ->check(CLI::Range(1, 10'000'000))
      ->capture_default_str();
  command
      ->add_option("--random-input-len,--input-len", flags->input_len,
                   "Tokens of a prompt: N, uniform:LOW:HIGH, normal:MEAN:STDDEV, "
                   "lognormal:MEDIAN:SIGMA or exponential:MEAN")
      ->capture_default_str();
  command
      ->add_option("--random-output-len,--output-len", flags->output_len,
                   "Tokens of an answer, likewise")
      ->capture_default_str();
  command
      ->add_option("--random-range-ratio", flags->range_ratio,
                   "A length N becomes uniform from N(1-r) to N(1+r)")
      ->check(between(0, 0.999));
  command->add_option("--seed", flags->seed, "Of lengths and prompts")->check(whole_number());
  add_common(*command, *flags);
  return {command, [flags] { return run_throughput(*flags); }};
}

Verb add_bench_latency(CLI::App& bench) {
  auto flags = std::make_shared<LatencyFlags>();
  LatencyOptions& latency = flags->latency;
  CLI::App* command =
      bench.add_subcommand("latency", "Latency of one batch, again and again: prefill and step");
  command->add_option("--batch-size", latency.batch_size, "Sequences of the batch")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  command->add_option("--input-len", latency.input_len, "Tokens of each prompt")
      ->check(CLI::Range(1, kMostTokens))
      ->capture_default_str();
  command->add_option("--output-len", latency.output_len, "Tokens of each answer")
      ->check(CLI::Range(1, kMostTokens))
      ->capture_default_str();
  command->add_option("--num-iters", latency.iterations, "Batches that are measured")
      ->check(CLI::Range(1, 100'000))
      ->capture_default_str();
  command->add_option("--num-iters-warmup", latency.warmups, "Batches before them")
      ->check(CLI::Range(0, 100'000))
      ->capture_default_str();
  command->add_option("--seed", latency.seed, "Of the prompts")->check(whole_number());
  add_common(*command, *flags);
  return {command, [flags] { return run_latency(*flags); }};
}

}  // namespace octet
