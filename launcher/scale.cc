// octet scale: the load of `octet bench serve` over a grid of ranks, groups and rates; it starts
// the groups itself. What was measured is kept cell by cell, and the same command goes on after a
// break.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <thread>

#include "kernels/say.h"
#include "launcher/engine_flags.h"
#include "launcher/exit_codes.h"
#include "launcher/flag_checks.h"
#include "launcher/interrupts.h"
#include "launcher/load_flags.h"
#include "launcher/served_group.h"
#include "launcher/verbs.h"
#include "runtime/bench/octet_target.h"
#include "runtime/bench/result_file.h"
#include "runtime/bench/scale_folder.h"
#include "runtime/bench/scale_report.h"
#include "runtime/formats/file.h"

namespace octet {
namespace {

struct ScaleFlags {
  EngineOptions engine;
  std::vector<std::string> engine_arguments;  // as given
  LoadFlags load;
  ScaleGrid grid{.tensor_parallel_sizes = {1}, .replicas = {1}};
  std::vector<std::string> rates;
  std::string host = "127.0.0.1", hostfile, result_dir;
};

// What must be the same for cells to be compared.
nlohmann::ordered_json settings_of(const ScaleFlags& flags, const CLI::App& command) {
  static const std::vector<std::string> kOwn{
      "--help",          "--tensor-parallel-size", "--replicas",
      "--request-rates", "--max-concurrencies",    "--result-dir"};
  nlohmann::ordered_json settings{{"model", flags.engine.model.string()}};
  for (const CLI::Option* option : command.get_options()) {
    const std::string name = option->get_name();
    if (!name.starts_with("--") || std::ranges::find(kOwn, name) != kOwn.end()) continue;
    std::string value;
    for (const std::string& part : option->results()) value += (value.empty() ? "" : " ") + part;
    if (option->count() == 0) value = option->get_default_str();
    if (!value.empty()) settings[name.substr(2)] = value;
  }
  return settings;
}

// Without --threads or several hosts, the cores of this host are shared by all ranks of a cell.
std::vector<std::string> serve_arguments(const ScaleFlags& flags, const ScaleGroup& group) {
  std::vector<std::string> arguments{
      flags.engine.model.string(), "--host=" + flags.host, "--grace=0",
      fmt::format("--tensor-parallel-size={}", group.tensor_parallel_size)};
  arguments.insert(arguments.end(), flags.engine_arguments.begin(), flags.engine_arguments.end());
  if (flags.engine.threads == 0 && flags.hostfile.empty()) {
    const int cores = static_cast<int>(std::thread::hardware_concurrency());
    arguments.push_back(fmt::format("--threads={}", std::max(1, cores / group.ranks())));
  }
  return arguments;
}

class Replicas {
 public:
  Replicas(const ScaleFlags& flags, const ScaleFolder& folder, const ScaleGroup& group) {
    std::vector<std::string> hosts(group.replicas);
    if (!flags.hostfile.empty()) {
      constexpr uint64_t kMostBytes = 1 << 20;
      hosts = split_hosts(read_text_file(flags.hostfile, kMostBytes), flags.hostfile, group);
    }
    for (int replica = 0; replica < group.replicas; ++replica) {
      const std::string name =
          (folder.path() /
           fmt::format("tp{}-r{}-replica{}", group.tensor_parallel_size, group.replicas, replica))
              .string();
      std::vector<std::string> arguments = serve_arguments(flags, group);
      if (!flags.hostfile.empty()) {
        replace_text_file(name + ".hosts", hosts[replica]);
        arguments.push_back("--hostfile=" + name + ".hosts");
      }
      groups_.push_back(std::make_unique<ServedGroup>(arguments, name + ".log"));
    }
  }

  std::unique_ptr<Target> connect() {
    std::vector<std::unique_ptr<Target>> targets;
    for (const auto& group : groups_) {
      targets.push_back(make_octet_target({.address = group->wait_ready(was_interrupted)}));
    }
    return spread_over(std::move(targets));
  }

 private:
  std::vector<std::unique_ptr<ServedGroup>> groups_;
};

class Scale {
 public:
  Scale(const ScaleFlags& flags, const nlohmann::ordered_json& settings)
      : flags_(flags), settings_(settings), folder_(flags.result_dir, settings) {}

  int run() {
    int code = kExitOk;
    for (const ScaleGroup& group : flags_.grid.groups()) {
      if (was_interrupted()) break;
      try {
        measure_group(group);
      } catch (const InputError& error) {
        if (error.code() == ErrorCode::kCancelled) break;
        say("octet scale: error: {}: {}\n", group.name(), error.what());
        code = exit_code_of(error);
      }
    }
    report();
    if (!was_interrupted()) return code;
    say("octet scale: error: interrupted: the same command goes on with what is in {}\n",
        folder_.path().string());
    return kExitInterrupted;
  }

 private:
  void measure_group(const ScaleGroup& group) {
    std::vector<ScaleCell> cells = flags_.grid.cells(group);
    std::erase_if(cells, [&](const ScaleCell& cell) { return folder_.has(cell); });
    if (cells.empty()) return;
    Replicas replicas(flags_, folder_, group);
    const std::unique_ptr<Target> target = replicas.connect();
    const LoadPlan plan = plan_requests(flags_.load, target->info());
    warm_up(*target, plan.warmups);
    LoadProgress progress("scale");
    for (const ScaleCell& cell : cells) {
      if (was_interrupted()) return;
      measure_cell(cell, *target, plan, progress);
    }
  }

  void measure_cell(const ScaleCell& cell, Target& target, const LoadPlan& plan,
                    LoadProgress& progress) {
    LoadOptions options = load_options(flags_.load);
    options.max_concurrency = cell.concurrency;
    options.arrivals.rate = cell.concurrency > 0 ? kAtOnce : cell.rate;
    options.on_progress = [&](const std::string&, size_t done, size_t total) {
      progress.update(fmt::format("{}, {}", cell.group.name(), cell.load()), done, total);
    };
    BenchReport measured = measure(target, plan.requests, options);
    progress.clear();
    if (measured.measurement.interrupted) return;
    if (measured.metrics.completed == 0)
      throw InputError(failure_line(measured.metrics), ErrorCode::kUnavailable);
    measured.settings = settings_;
    nlohmann::ordered_json result = bench_json(measured);
    fmt::print("{}, {}: {:.1f} output tokens/s, TTFT p99 {:.1f} ms\n", cell.group.name(),
               cell.load(), result["output_throughput"].get<double>(),
               result["p99_ttft_ms"].get<double>());
    std::fflush(stdout);
    folder_.save(cell, std::move(result));
    const std::string failures = failure_line(measured.metrics);
    if (!failures.empty()) say("octet scale: error: {}\n", failures);
  }

  void report() const {
    std::vector<ScaleRow> rows;
    for (const ScaleGroup& group : flags_.grid.groups()) {
      for (const ScaleCell& cell : flags_.grid.cells(group)) {
        if (!folder_.has(cell)) continue;
        rows.push_back(scale_row(cell, folder_.load(cell), folder_.file_of(cell).string()));
      }
    }
    if (rows.empty()) return;
    fmt::print("{}", scale_text(rows));
    std::fflush(stdout);
    replace_text_file(folder_.path() / "scale.csv", scale_csv(rows));
    replace_text_file(folder_.path() / "scale.html", scale_html(rows, settings_));
  }

  const ScaleFlags& flags_;
  const nlohmann::ordered_json settings_;
  const ScaleFolder folder_;
};

int run(ScaleFlags& flags, const CLI::App& command) {
  keep_interrupts(SecondInterrupt::kEnds);
  if (flags.rates.empty() && flags.grid.concurrencies.empty()) flags.rates = {"inf"};
  for (const std::string& rate : flags.rates) {
    flags.grid.rates.push_back(parse_rate(rate, "--request-rates"));
  }
  return Scale(flags, settings_of(flags, command)).run();
}

}  // namespace

Verb add_scale(CLI::App& octet) {
  auto flags = std::make_shared<ScaleFlags>();
  CLI::App* command = octet.add_subcommand(
      "scale", "Measure throughput and latency over ranks, groups and rates; starts the groups");
  command
      ->add_option("MODEL", flags->engine.model,
                   "Artefact folder, Hugging Face folder or GGUF file")
      ->required();
  command->add_option("--result-dir", flags->result_dir, "Results and report; goes on where it is")
      ->required();
  command
      ->add_option("--tensor-parallel-size,--tp", flags->grid.tensor_parallel_sizes,
                   "Ranks of a group, several: 1,2,4")
      ->delimiter(',')
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  command->add_option("--replicas", flags->grid.replicas, "Groups side by side: 1,2")
      ->delimiter(',')
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  command
      ->add_option("--request-rates", flags->rates,
                   "Requests/s over all groups: 1,2,4,inf (inf: all at once; the default)")
      ->delimiter(',');
  command
      ->add_option("--max-concurrencies", flags->grid.concurrencies,
                   "Closed loops of so many requests: 1,8,32")
      ->delimiter(',')
      ->check(CLI::Range(1, 1'000'000));
  command->add_option("--host", flags->host, "Where groups listen and ranks of other hosts dial")
      ->capture_default_str();
  command
      ->add_option("--hostfile", flags->hostfile,
                   "mpirun's: hosts for all ranks; each group gets the next of its slots")
      ->check(CLI::ExistingFile);
  add_load_flags(*command, flags->load);
  add_engine_flags(*command, flags->engine);
  return {command, [flags, command] {
            flags->engine_arguments = engine_arguments(*command);
            return run(*flags, *command);
          }};
}

}  // namespace octet
