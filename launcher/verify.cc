// octet verify: an artefact against the checkpoint it was made of, layer by layer and rank by rank.
#include "runtime/evaluation/verify.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "launcher/engine_flags.h"
#include "launcher/exit_codes.h"
#include "launcher/flag_checks.h"
#include "launcher/mpirun.h"
#include "launcher/verbs.h"
#include "runtime/engine/engine.h"
#include "runtime/engine/plan.h"
#include "runtime/request/error.h"
#include "runtime/tokenizer/tokenizer.h"

namespace octet {
namespace {

struct VerifyFlags {
  EngineOptions engine;
  int tensor_parallel_size = 1;
  std::string against, out;
  std::vector<std::string> prompts;
  double tolerance = 0.1;
};

constexpr int kLongestPrompt = 512;

// Prose, a list, a program: enough for every layer to do its work.
constexpr const char* kPrompts[] = {
    "The old lighthouse keeper climbed the stairs every evening, lit the lamp, and watched the "
    "ships "
    "pass until the sun came up again.",
    "Water boils at 100 degrees Celsius at sea level. At 3,000 metres it boils at about 90 "
    "degrees, "
    "because",
    "def fibonacci(n):\n    a, b = 0, 1\n    for _ in range(n):\n        a, b = b, a + b\n    "
    "return",
};

std::vector<std::vector<int32_t>> prompt_ids(const VerifyFlags& flags, int vocab_size) {
  std::vector<std::vector<int32_t>> ids;
  try {
    const auto tokenizer = load_tokenizer(flags.engine.model);
    std::vector<std::string> texts = flags.prompts;
    if (texts.empty()) texts.assign(std::begin(kPrompts), std::end(kPrompts));
    for (const std::string& text : texts) ids.push_back(tokenizer->encode(text, true, true));
  } catch (const InputError&) {
    if (!flags.prompts.empty()) throw;
    for (uint32_t seed : {1u, 2u, 3u}) {  // a model without a tokenizer: any ids will do
      ids.emplace_back();
      for (int i = 0; i < 24; ++i) {
        seed = seed * 1664525u + 1013904223u;
        ids.back().push_back(static_cast<int32_t>((seed >> 8) % static_cast<uint32_t>(vocab_size)));
      }
    }
  }
  return ids;
}

struct LayerSummary {
  double error = 0, channel_error = 0;
  StageError worst;
  bool faulty = false;

  void add(const StageError& of, double tolerance) {
    if (!std::isnan(error) && !(of.error <= error)) {
      error = of.error;
      worst = of;
    }
    channel_error = std::max(channel_error, of.channel_error);
    faulty |= !fault_of(of, tolerance).empty();
  }
};

void print_layers(const VerifyReport& report, double tolerance) {
  LayerSummary embedding;
  std::vector<LayerSummary> layers(static_cast<size_t>(report.num_layers));
  for (const StageError& error : report.errors) {
    const int layer = layer_of(error);
    if (layer == report.num_layers) continue;
    (layer < 0 ? embedding : layers[static_cast<size_t>(layer)]).add(error, tolerance);
  }
  const auto mark = [](const LayerSummary& layer) {
    return layer.faulty ? "  <- out of tolerance" : "";
  };
  fmt::print("{:>9}  {:>9}  {:<18} {:>4}  {:>10}  {:>10}\n", "layer", "error", "where it is worst",
             "rank", "a channel", "outliers");
  fmt::print("{:>9}  {:>9.5f}{}\n", "embedding", embedding.error, mark(embedding));
  for (size_t i = 0; i < layers.size(); ++i) {
    const LayerSummary& layer = layers[i];
    fmt::print("{:>9}  {:>9.5f}  {:<18} {:>4}  {:>10.5f}  {:>10}{}\n", i, layer.error,
               stage_name(layer.worst.stage), layer.worst.rank, layer.channel_error,
               report.outliers[i], mark(layer));
  }
}

void print_report(const VerifyReport& report, double tolerance) {
  print_layers(report, tolerance);
  fmt::print(
      "KL divergence {:.6f} nats a token; perplexity of the prompts {:.4f} against {:.4f} "
      "({:+.2f}%)\n",
      report.kl_divergence, report.tested_perplexity, report.reference_perplexity,
      100 * (report.tested_perplexity / report.reference_perplexity - 1));
  if (report.first) {
    fmt::print("NOT the same model: first out of tolerance {}: {}, {}\n", tolerance,
               place_of(*report.first, report.num_layers), fault_of(*report.first, tolerance));
  } else if (!report.logits_ok) {
    fmt::print("NOT the same model: every layer is within {}, the head is not\n", tolerance);
  } else {
    fmt::print("the same model: every layer is within {}\n", tolerance);
    if (report.num_tokens < kEnoughTokens) {
      fmt::print("{} tokens: a single row that is wrong may pass; {} and more show it\n",
                 report.num_tokens, kEnoughTokens);
    }
  }
}

void write_json(const VerifyFlags& flags, const VerifyReport& report) {
  if (flags.out.empty()) return;
  nlohmann::json errors = nlohmann::json::array();
  for (const StageError& error : report.errors) {
    errors.push_back({{"layer", error.layer},
                      {"stage", stage_name(error.stage)},
                      {"rank", error.rank},
                      {"relative_error", error.error},
                      {"median_relative_error", error.usual},
                      {"channel", error.channel},
                      {"channel_relative_error", error.channel_error}});
  }
  nlohmann::json all{{"ok", report.ok()},
                     {"tolerance", flags.tolerance},
                     {"tokens", report.num_tokens},
                     {"kl_divergence", report.kl_divergence},
                     {"reference_perplexity", report.reference_perplexity},
                     {"tested_perplexity", report.tested_perplexity},
                     {"outliers", report.outliers},
                     {"errors", errors}};
  if (report.first) all["first_out_of_tolerance"] = place_of(*report.first, report.num_layers);
  std::ofstream out(flags.out);
  if (!(out << all.dump(2) << "\n" << std::flush)) {
    throw InputError(fmt::format("{}: cannot be written", flags.out));
  }
}

ModelArgs args_of(const EngineOptions& options) { return open_model(model_source(options)).args; }

int run(const VerifyFlags& flags) {
  if (flags.engine.load_format == "dummy") {
    throw InputError("--load-format is dummy: there are no weights to verify");
  }
  if (!World::launched_by_mpi()) {
    require_writable(flags.out);
    if (flags.tensor_parallel_size > 1) return run_under_mpirun(flags.tensor_parallel_size);
  }
  return run_in_world("verify", [&](World& world) {
    const EngineOptions engine = place_rank(flags.engine, world);
    VerifyOptions options{.tested = engine, .reference = engine, .prompts = {}};
    options.tolerance = flags.tolerance;
    options.reference.model = flags.against;
    options.reference.quantization = "none";
    options.reference.kv_cache_dtype = "float32";
    const ModelArgs args = args_of(options.tested);
    options.prompts = prompt_ids(flags, args.vocab_size);
    const int positions =
        std::min(args.max_position_embeddings, args_of(options.reference).max_position_embeddings);
    for (EngineOptions* side : {&options.tested, &options.reference}) {
      side->max_num_seqs = 1;
      side->max_model_len = side->max_num_batched_tokens = std::min(kLongestPrompt, positions);
    }
    const CommOptions a = comm_options(options.tested, world.size());
    CommOptions both = comm_options(options.reference, world.size());
    both.max_reduce_floats = std::max(a.max_reduce_floats, both.max_reduce_floats);
    both.max_message_bytes = std::max(a.max_message_bytes, both.max_message_bytes);
    const auto communicator = world.make_communicator(both);
    const VerifyReport report = verify(options, *communicator);
    if (world.rank() != 0) return static_cast<int>(kExitOk);
    print_report(report, flags.tolerance);
    write_json(flags, report);
    return static_cast<int>(report.ok() ? kExitOk : kExitDiffers);
  });
}

}  // namespace

Verb add_verify(CLI::App& octet) {
  auto flags = std::make_shared<VerifyFlags>();
  CLI::App* command =
      octet.add_subcommand("verify", "Hold an artefact against the checkpoint it was made of");
  command->add_option("MODEL", flags->engine.model, "Artefact folder (or any other model)")
      ->required();
  command->add_option("--against", flags->against, "The checkpoint, run in fp32")->required();
  command->add_option("--prompt", flags->prompts, "Texts to run; some of its own when absent");
  command
      ->add_option("--tolerance", flags->tolerance,
                   "Relative error that a layer may have; one channel, three times as much")
      ->check(between(1e-6, 1e3))
      ->capture_default_str();
  command->add_option("--out", flags->out, "A file for the report, as JSON");
  add_engine_flags(*command, flags->engine, flags->tensor_parallel_size);
  return {command, [flags] { return run(*flags); }};
}

}  // namespace octet
