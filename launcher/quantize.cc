// octet quantize: a checkpoint to the int8 artefact, once.
#include <fmt/format.h>

#include <filesystem>
#include <memory>

#include "launcher/engine_flags.h"
#include "launcher/flag_checks.h"
#include "launcher/progress.h"
#include "launcher/verbs.h"
#include "runtime/models/open_model.h"
#include "runtime/request/error.h"
#include "runtime/weights/quantizer.h"

namespace octet {
namespace {

struct QuantizeFlags {
  std::string in, out;
  std::string load_format = "auto";
  int num_hidden_layers = 0;
  std::string head = "keep";
  bool equalize = true;
  bool blocks = true;
  int reduction_shards = Partition::kDefaultShards;
  double max_shard_gib = 5;
};

int run_quantize(const QuantizeFlags& flags) {
  if (flags.num_hidden_layers > 0 && flags.load_format != "dummy") {
    throw InputError("--num-hidden-layers: only with --load-format dummy; an artefact is whole");
  }
  const auto [source, args] = open_model({.path = flags.in,
                                          .dummy = flags.load_format == "dummy",
                                          .num_hidden_layers = flags.num_hidden_layers});
  const Partition partition(args, flags.reduction_shards);
  QuantizeOptions options;
  options.equalize = flags.equalize;
  options.blocks = flags.blocks;
  options.int8_head = flags.head == "int8";
  options.max_shard_bytes = static_cast<int64_t>(flags.max_shard_gib * (1 << 30));
  QuantizeReport report;
  double seconds = 0;
  {
    Progress progress("quantize", "MB", 1e6);
    options.progress = [&](const std::string& tensor, uint64_t done, uint64_t total) {
      progress.update(tensor, done, total);
    };
    report = quantize_checkpoint(*source, partition, flags.out, options);
    seconds = progress.seconds();
  }
  fmt::print(
      "{}: {} tensors, {} of them int8, {:.1f} MB from {:.1f} MB in {:.1f} s, {} reduction "
      "shards\n",
      flags.out, report.tensors, report.quantized, static_cast<double>(report.bytes_out) / 1e6,
      static_cast<double>(report.bytes_in) / 1e6, seconds, partition.num_shards());
  if (report.bytes_of_blocks > 0) {
    fmt::print("{:.1f} MB of it are the weights once more, for CPU ranks (--no-blocks: without)\n",
               static_cast<double>(report.bytes_of_blocks) / 1e6);
  }
  if (report.resumed > 0) {
    fmt::print("{} tensors were finished by an earlier run\n", report.resumed);
  }
  return 0;
}

}  // namespace

Verb add_quantize(CLI::App& octet) {
  auto flags = std::make_shared<QuantizeFlags>();
  CLI::App* command = octet.add_subcommand(
      "quantize", "Write a checkpoint as an int8 artefact, for any number of ranks");
  command->add_option("IN", flags->in, "Hugging Face folder or GGUF file")->required();
  add_source_flags(*command, flags->load_format, flags->num_hidden_layers);
  command->add_option("OUT", flags->out, "folder to create")->required()->check(not_empty());
  add_head_flag(*command, flags->head,
                "keep: the head as it came, in 16 or 32 bits; int8: rounded as the layers are");
  command
      ->add_option("--reduction-shards", flags->reduction_shards,
                   "most ranks that a row-parallel product can be split over")
      ->check(CLI::Range(1, kMaxShards))
      ->capture_default_str();
  command->add_flag("--equalize,!--no-equalize", flags->equalize,
                    "Scale small columns up and their norm down before rounding (the default)");
  command->add_flag("--blocks,!--no-blocks", flags->blocks,
                    "Write the weights once more as CPU ranks use them, so that a start copies "
                    "nothing (the default); GPUs do not need it");
  command->add_option("--max-shard-size", flags->max_shard_gib, "largest safetensors file, in GiB")
      ->check(between(0.001, 1024.0))
      ->capture_default_str();
  return {command, [flags] { return run_quantize(*flags); }};
}

}  // namespace octet
