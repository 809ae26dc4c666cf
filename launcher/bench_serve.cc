// octet bench serve: puts load on a service, ours or any of the OpenAI API, and says how it
// answers.
#include <fmt/format.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <optional>

#include "kernels/say.h"
#include "launcher/bench_verbs.h"
#include "launcher/exit_codes.h"
#include "launcher/flag_checks.h"
#include "launcher/interrupts.h"
#include "launcher/load_flags.h"
#include "runtime/bench/octet_target.h"
#include "runtime/bench/openai_target.h"
#include "runtime/formats/json_text.h"

namespace octet {
namespace {

struct BenchServeFlags {
  LoadFlags load;
  std::string backend = "octet";
  std::vector<std::string> addresses;
  std::string endpoint, model, extra_body;
  std::vector<std::string> headers;
  std::optional<bool> ignore_eos;
  std::string request_rate = "inf";
  size_t max_concurrency = 0;
  std::string ramp;
  double ramp_start = 1, ramp_end = 1;
  bool search = false;
  SearchOptions search_options;
  std::vector<double> percentiles{50, 90, 95, 99};
  std::string result_dir, result_name = "bench";
};

OpenAiOptions openai_options(const BenchServeFlags& flags) {
  OpenAiOptions options{
      .api = flags.backend == "openai" ? OpenAiApi::kCompletions : OpenAiApi::kChat,
      .endpoint = flags.endpoint,
      .model = flags.model};
  for (const std::string& header : flags.headers) {
    const size_t equals = header.find('=');
    if (equals == std::string::npos || equals == 0)
      throw InputError(fmt::format("--header is '{}', must be NAME=VALUE", header));
    options.headers[header.substr(0, equals)] = header.substr(equals + 1);
  }
  if (const char* key = std::getenv("OPENAI_API_KEY")) options.api_key = key;
  if (!flags.extra_body.empty()) {
    options.extra_body = parse_json(flags.extra_body, "--extra-body");
    if (!options.extra_body.is_object()) throw InputError("--extra-body: must be a JSON object");
  }
  if (flags.ignore_eos) options.extra_body["ignore_eos"] = *flags.ignore_eos;
  return options;
}

std::unique_ptr<Target> make_target(const BenchServeFlags& flags) {
  std::vector<std::unique_ptr<Target>> targets;
  for (const std::string& address : flags.addresses) {
    if (flags.backend == "octet") {
      targets.push_back(make_octet_target({.address = address,
                                           .model = flags.model,
                                           .ignore_eos = flags.ignore_eos.value_or(true)}));
    } else {
      OpenAiOptions options = openai_options(flags);
      options.base_url = address;
      targets.push_back(make_openai_target(options));
    }
  }
  return spread_over(std::move(targets));
}

nlohmann::ordered_json settings_of(const CLI::App& command, const Target& target) {
  nlohmann::ordered_json settings{{"model", target.info().model}};
  if (target.info().tensor_parallel_size > 0)
    settings["tensor_parallel_size"] = target.info().tensor_parallel_size;
  for (const CLI::Option* option : command.get_options()) {
    const std::string name = option->get_name(false, false);
    if (!name.starts_with("--") || name == "--help" || name == "--header" || name == "--model")
      continue;
    std::string value;
    for (const std::string& part : option->results()) value += (value.empty() ? "" : " ") + part;
    if (option->count() == 0) value = option->get_default_str();
    if (!value.empty()) settings[name.substr(2)] = value;
  }
  return settings;
}

LoadOptions options_of(const BenchServeFlags& flags) {
  LoadOptions options = load_options(flags.load);
  options.arrivals.rate = parse_rate(flags.request_rate, "--request-rate");
  options.max_concurrency = flags.max_concurrency;
  if (flags.load.dataset == "random" && !flags.load.dataset_path.empty())
    throw InputError("--dataset-path needs --dataset-name: azure, burstgpt or sharegpt");
  if (flags.backend == "octet" &&
      !(flags.headers.empty() && flags.extra_body.empty() && flags.endpoint.empty()))
    throw InputError("--header, --extra-body and --endpoint need --backend openai or openai-chat");
  if (!flags.ramp.empty()) {
    options.arrivals.ramp =
        Ramp{.kind = flags.ramp == "linear" ? Ramp::Kind::kLinear : Ramp::Kind::kExponential,
             .start = flags.ramp_start,
             .end = flags.ramp_end};
  }
  const bool timed = flags.load.dataset == "azure" || flags.load.dataset == "burstgpt";
  options.own_times = timed && std::isinf(options.arrivals.rate) && flags.ramp.empty();
  if (flags.search && options.statistic_limits.empty())
    throw InputError("--search needs --slo, as in --slo p99_ttft:500");
  return options;
}

// The exit code of a measurement that was reported: 0 only where every request was answered.
int exit_code_of(const BenchReport& report) {
  if (report.measurement.interrupted) return kExitInterrupted;
  if (report.metrics.failed == 0)
    return report.measurement.given_up.empty() ? kExitOk : kExitGroupLost;
  const ErrorCount& first = report.metrics.errors.front();
  return exit_code_of(InputError(first.line, first.code));
}

// Throws InputError, before anything is measured.
void require_result_folder(const BenchServeFlags& flags) {
  if (flags.result_name.find('/') != std::string::npos)
    throw InputError(fmt::format("--result-name is '{}', a name without /", flags.result_name));
  if (flags.result_dir.empty()) return;
  std::error_code error;
  std::filesystem::create_directories(flags.result_dir, error);
  if (error) throw InputError(fmt::format("{}: {}", flags.result_dir, error.message()));
}

int run(const BenchServeFlags& flags, const CLI::App& command) {
  keep_interrupts(SecondInterrupt::kEnds);
  LoadOptions options = options_of(flags);
  require_result_folder(flags);
  const std::unique_ptr<Target> target = make_target(flags);
  const LoadPlan plan = plan_requests(flags.load, target->info());
  warm_up(*target, plan.warmups);
  BenchReport report;
  {
    LoadProgress progress("bench serve");
    options.on_progress = [&](const std::string& label, size_t done, size_t total) {
      progress.update(label, done, total);
    };
    report = flags.search
                 ? search_rate(*target, plan.requests, options, flags.search_options,
                               [&](const RateProbe& probe) {
                                 progress.clear();
                                 fmt::print("{}\n", search_text(probe, options.statistic_limits));
                                 std::fflush(stdout);
                               })
                 : measure(*target, plan.requests, options);
  }
  if (report.measurement.interrupted && report.metrics.completed + report.metrics.failed == 0) {
    say("octet bench serve: error: interrupted before anything was measured\n");
    return kExitInterrupted;
  }
  report.settings = settings_of(command, *target);
  fmt::print("{}", bench_text(report, flags.percentiles));
  if (report.search) fmt::print("{}\n", search_answer(*report.search));
  std::fflush(stdout);
  std::string failures = failure_line(report.metrics);
  if (failures.empty()) failures = report.measurement.given_up;
  if (failures.empty() && report.measurement.interrupted)
    failures = "interrupted: the figures are of a part";
  if (!failures.empty()) say("octet bench serve: error: {}\n", failures);
  if (!flags.result_dir.empty()) save_results(flags.result_dir, flags.result_name, report);
  return exit_code_of(report);
}

void add_target_flags(CLI::App& command, BenchServeFlags& flags) {
  command
      .add_option("--backend", flags.backend,
                  "octet: our gRPC; openai: /v1/completions; openai-chat: /v1/chat/completions")
      ->check(CLI::IsMember({"octet", "openai", "openai-chat"}))
      ->capture_default_str();
  flags.addresses = {"127.0.0.1:50051"};
  command
      .add_option("--address,--base-url", flags.addresses,
                  "HOST:PORT, or http://HOST:PORT; requests go to several in turn")
      ->capture_default_str();
  command.add_option("--endpoint", flags.endpoint, "Another path than the backend's own");
  command.add_option("--model", flags.model, "Needed where the server has several");
  command.add_option("--header", flags.headers, "NAME=VALUE, with every HTTP request");
  command.add_option("--extra-body", flags.extra_body,
                     "A JSON object, merged into every HTTP body");
  command.add_flag_function(
      "--ignore-eos,!--no-ignore-eos", [&flags](int64_t on) { flags.ignore_eos = on > 0; },
      "Answers go on to their full length (octet's default; HTTP servers are not asked)");
}

}  // namespace

Verb add_bench_serve(CLI::App& bench) {
  auto flags = std::make_shared<BenchServeFlags>();
  CLI::App* command = bench.add_subcommand(
      "serve", "Load on a running service: latencies, throughput, the highest rate within limits");
  add_target_flags(*command, *flags);
  add_load_flags(*command, flags->load);
  CLI::Option* rate =
      command
          ->add_option("--request-rate", flags->request_rate,
                       "Requests/s; inf: all at once, or a closed loop with --max-concurrency")
          ->capture_default_str();
  command
      ->add_option(
          "--max-concurrency", flags->max_concurrency,
          "Unfinished requests at most; waiting for a place counts as latency. 0: no limit")
      ->check(CLI::Range(0, 1'000'000));
  CLI::Option* ramp =
      command->add_option("--ramp-up-strategy", flags->ramp, "How the rate changes over the run")
          ->check(CLI::IsMember({"linear", "exponential"}))
          ->excludes(rate);
  CLI::Option* start =
      command
          ->add_option("--ramp-up-start-rps", flags->ramp_start, "Requests/s at the first request")
          ->check(between(1e-6, 1e6))
          ->needs(ramp);
  CLI::Option* end =
      command->add_option("--ramp-up-end-rps", flags->ramp_end, "Requests/s at the last")
          ->check(between(1e-6, 1e6))
          ->needs(ramp);
  ramp->needs(start, end);
  command
      ->add_option("--slo", flags->load.slo,
                   "What the service must keep, in ms: p99_ttft:500 mean_tpot:50 max_itl:900")
      ->expected(1, -1);
  CLI::Option* search =
      command->add_flag("--search", flags->search, "Find the highest rate that keeps every --slo")
          ->excludes(ramp);
  command
      ->add_option("--search-tolerance", flags->search_options.tolerance,
                   "The search ends when a rate so much higher has failed")
      ->needs(search)
      ->check(between(0.001, 1.0))
      ->capture_default_str();
  command
      ->add_option(
          "--search-probes", flags->search_options.probes_of_rate,
          "Probes of a rate at most; most of them decide. Odd; for a machine that is not quiet")
      ->needs(search)
      ->check(CLI::IsMember({1, 3, 5, 7, 9}))
      ->capture_default_str();
  command->add_option("--metric-percentiles", flags->percentiles, "On the terminal; files have all")
      ->delimiter(',')
      ->check(between(0, 100));
  command->add_option("--result-dir", flags->result_dir,
                      "A folder for the JSON, CSV and HTML report");
  command->add_option("--result-name", flags->result_name, "Of its files")
      ->check(not_empty())
      ->capture_default_str();
  return {command, [flags, command] { return run(*flags, *command); }};
}

}  // namespace octet
