// octet plan: what a model takes and gives on hardware that need not be at hand.
#include <fmt/format.h>

#include <filesystem>
#include <iostream>
#include <memory>
#include <optional>

#include "launcher/engine_flags.h"
#include "launcher/flag_checks.h"
#include "launcher/verbs.h"
#include "runtime/capacity/planner.h"
#include "runtime/formats/file.h"
#include "runtime/request/error.h"

namespace octet {
namespace {

struct PlanFlags {
  PlanRequest request;
  std::string model, hardware, network, costs, html;
  int64_t memory = 0;
  double ttft_ms = 0, tpot_ms = 0;
  bool json = false, list = false, dummy = false;
};

// An artefact or a GGUF file is planned as it is; of a Hugging Face folder, a config.json or a
// preset's name, the int8 artefact that would be made of it.
void choose_source(const std::string& model, EngineOptions& options) {
  std::filesystem::path path = model;
  if (path.filename() == "config.json") path = path.parent_path();
  const bool as_it_is =
      std::filesystem::exists(path / "octet.json") || std::filesystem::is_regular_file(path);
  options.model = path;
  options.load_format = as_it_is ? "auto" : "dummy";
}

int list_hardware() {
  for (const std::string_view name : built_in_profiles()) {
    fmt::print("{:<12}{}\n", name, load_profile(std::string(name)).description);
  }
  return 0;
}

void put(const std::string& text) {
  if (!(std::cout << text << std::flush)) throw InputError("standard output takes no more");
}

int run(PlanFlags& flags) {
  if (flags.list) return list_hardware();
  if (flags.model.empty()) throw InputError("--model is needed");
  if (flags.memory < 0) {
    throw InputError(fmt::format("--memory is {}, must be 0 or more bytes", flags.memory));
  }
  require_writable(flags.html);
  PlanRequest& request = flags.request;
  choose_source(flags.model, request.options);
  request.ttft_seconds = flags.ttft_ms / 1e3;
  request.tpot_seconds = flags.tpot_ms / 1e3;
  if (flags.dummy) request.tail = 0;
  request.memory_bytes = static_cast<double>(flags.memory);
  const HardwareProfile hardware = load_profile(flags.hardware);
  std::optional<HardwareProfile> network;
  if (!flags.network.empty()) network = load_profile(flags.network);
  const CapacityPlan plan =
      plan_capacity(request, hardware, network ? &*network : nullptr, load_costs(flags.costs));
  put(flags.json ? plan_json(plan) + "\n" : plan_text(plan));
  if (!flags.html.empty()) write_text_file(flags.html, plan_html(plan));
  return 0;
}

void add_load_flags(CLI::App& command, PlanFlags& flags) {
  PlanRequest& request = flags.request;
  command.add_option("--rate", request.rate, "A load to be carried, requests a second")
      ->check(between(0, 1e9));
  command.add_option("--ttft-ms", flags.ttft_ms, "Limit of the time to first token; 0: none")
      ->check(non_negative());
  command.add_option("--tpot-ms", flags.tpot_ms, "Limit of the time a token; 0: none")
      ->check(non_negative());
  command
      .add_option("--utilization", request.utilization,
                  "Share of what the groups can do that the load may take")
      ->check(between(0.01, 1.0))
      ->capture_default_str();
  command.add_option("--costs", flags.costs, "Prices (JSON); default: the built-in file")
      ->check(CLI::ExistingFile);
}

void add_model_flags(CLI::App& command, PlanFlags& flags) {
  PlanRequest& request = flags.request;
  EngineOptions& options = request.options;
  options.max_num_seqs = 1;
  command.add_option("--model", flags.model,
                     "Artefact, GGUF file, Hugging Face folder, config.json, or a preset "
                     "(gpt3-175b): int8 weights where it has none yet");
  command.add_option("--num-hidden-layers", options.num_hidden_layers, "The first so many; 0: all")
      ->check(CLI::Range(0, 10'000));
  add_head_flag(command, options.head, "Where it has no int8 weights yet: the head too in int8");
  command.add_option("--quantization", options.quantization, "How int8 weights are used")
      ->check(CLI::IsMember({"auto", "llm-int8", "w8a8", "w8a16", "none"}))
      ->capture_default_str();
  command.add_option("--kv-cache-dtype", options.kv_cache_dtype, "How K and V are kept")
      ->check(CLI::IsMember({"auto", "float32", "bfloat16", "int8"}))
      ->capture_default_str();
  command
      .add_option("--max-model-len", options.max_model_len,
                  "Tokens of a sequence; 0: the model's own")
      ->check(non_negative());
  command
      .add_option("--max-num-seqs", options.max_num_seqs,
                  "Sequences that must fit for a size to count as fitting")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  command
      .add_option("--max-num-batched-tokens", options.max_num_batched_tokens, "Tokens in a step")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  command.add_option("--block-size", options.block_size, "Tokens in a KV block")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
}

}  // namespace

Verb add_plan(CLI::App& octet) {
  auto flags = std::make_shared<PlanFlags>();
  CLI::App* command = octet.add_subcommand(
      "plan", "What a model takes and gives: memory, speed, ranks for a load, cost");
  PlanRequest& request = flags->request;
  flags->hardware = "h200";
  add_model_flags(*command, *flags);
  command
      ->add_option("--hardware", flags->hardware,
                   "A built-in profile (--list-hardware) or a file of octet profile")
      ->capture_default_str();
  command->add_option(
      "--network", flags->network,
      "Between nodes, where a group spans several: infiniband, ethernet, or a file");
  command->add_flag("--list-hardware", flags->list, "Name the built-in profiles");
  command
      ->add_option("--tensor-parallel-size,--tp", request.tensor_parallel_sizes,
                   "Ranks of a group; several by commas; default: 1, 2, 4, 8 as a node holds")
      ->delimiter(',')
      ->check(CLI::Range(1, 64));
  command
      ->add_option("--memory", flags->memory, "Bytes of a rank (40GiB works too); 0: the profile's")
      ->transform(CLI::AsSizeValue(false));
  command
      ->add_option("--batch", request.batches, "Sequences that decode together; several by commas")
      ->delimiter(',')
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  command->add_option("--input-tokens", request.input_tokens, "Of a request; 0: a full context")
      ->check(CLI::Range(0, 1 << 24));
  command->add_option("--output-tokens", request.output_tokens, "Of a request")
      ->check(CLI::Range(0, 1 << 24));
  command
      ->add_option("--context", request.context,
                   "Tokens that a decode step sees; 0: input + half the output, or all")
      ->check(CLI::Range(0, 1 << 24));
  add_load_flags(*command, *flags);
  command->add_flag("--dummy-weights", flags->dummy,
                    "Times of a run with --load-format dummy, whose inputs have few outliers");
  command->add_flag("--json", flags->json, "JSON on standard output");
  command->add_option("--html", flags->html, "Write a page with plots to this file")
      ->check(not_empty());
  return {command, [flags] { return run(*flags); }};
}

}  // namespace octet
