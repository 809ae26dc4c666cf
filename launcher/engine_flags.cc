#include "launcher/engine_flags.h"

#include <fmt/format.h>

#include <algorithm>
#include <thread>

#include "comm/numa.h"
#include "launcher/flag_checks.h"
#include "runtime/models/presets.h"
#include "runtime/request/error.h"

namespace octet {
namespace {

constexpr const char* kEngineGroup = "Engine";

}  // namespace

void add_tensor_parallel_flag(CLI::App& command, int& tensor_parallel_size) {
  command.add_option("--tensor-parallel-size,--tp", tensor_parallel_size, "Ranks of the group")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
}

void add_source_flags(CLI::App& command, std::string& load_format, int& num_hidden_layers) {
  command
      .add_option("--load-format", load_format,
                  "dummy: random weights in place of files; MODEL may be a preset (gpt3-175b)")
      ->check(CLI::IsMember({"auto", "dummy"}))
      ->capture_default_str();
  command.add_option("--num-hidden-layers", num_hidden_layers, "The first so many; 0: all")
      ->check(CLI::Range(0, 10'000));
}

void add_head_flag(CLI::App& command, std::string& head, const std::string& help) {
  command.add_option("--head", head, help)
      ->check(CLI::IsMember({"keep", "int8"}))
      ->capture_default_str();
}

void add_engine_flags(CLI::App& command, EngineOptions& o, int& tensor_parallel_size) {
  if (command.get_name() != "worker") add_tensor_parallel_flag(command, tensor_parallel_size);
  add_engine_flags(command, o);
}

void add_engine_flags(CLI::App& command, EngineOptions& o) {
  const std::string other_flags = command.option_defaults()->get_group();
  command.option_defaults()->group(kEngineGroup);
  add_source_flags(command, o.load_format, o.num_hidden_layers);
  command.add_flag("--mmap,!--no-mmap", o.mmap,
                   "Leave weights in the artefact's files where they can be used there (the "
                   "default), or copy them; ranks bound to NUMA nodes copy");
  add_head_flag(command, o.head, "With --load-format dummy: the head in 16 bits, or in int8");
  command
      .add_option("--quantization", o.quantization,
                  "How int8 weights are used; auto: llm-int8 where there are some")
      ->check(CLI::IsMember({"auto", "llm-int8", "w8a8", "w8a16", "none"}))
      ->capture_default_str();
  command
      .add_option("--outlier-threshold", o.outlier_threshold,
                  "llm-int8: inputs of this size and more are multiplied in two digits")
      ->check(positive())
      ->capture_default_str();
  command.add_option("--kv-cache-dtype", o.kv_cache_dtype, "How K and V are kept")
      ->check(CLI::IsMember({"auto", "float32", "bfloat16", "int8"}))
      ->capture_default_str();
  command
      .add_option("--max-model-len", o.max_model_len, "Tokens of a sequence; 0: the model's own")
      ->check(non_negative());
  command.add_option("--max-num-seqs", o.max_num_seqs, "Sequences in a step")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  command.add_option("--max-num-batched-tokens", o.max_num_batched_tokens, "Tokens in a step")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  command.add_flag("--enable-chunked-prefill,!--no-enable-chunked-prefill",
                   o.enable_chunked_prefill, "Long prompts in chunks (the default), or whole");
  command.add_flag("--enable-prefix-caching,!--no-enable-prefix-caching", o.enable_prefix_caching,
                   "Beginnings that prompts share are computed once");
  command.add_option("--block-size", o.block_size, "Tokens in a KV block")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  command
      .add_option("--kv-cache-memory", o.kv_cache_memory,
                  "Bytes of KV cache on a rank (64MiB works too); 0: what the sequences need")
      ->transform(CLI::AsSizeValue(false));
  command
      .add_option("--device", o.device,
                  "auto (cpu), cpu, cuda where built, or reference (slow, the oracle)")
      ->capture_default_str();
  command.add_option("--isa", o.isa, "Instruction set: auto, avx2, avx512-vnni, amx-int8")
      ->capture_default_str();
  command.add_option("--threads", o.threads, "Threads of a rank; 0: the host's cores / its ranks")
      ->check(CLI::Range(0, 1024));
  command
      .add_option("--communicator", o.communicator,
                  "How the ranks meet; lone: they do not, rank 0 runs without the others")
      ->check(CLI::IsMember({"auto", "local", "shm", "mpi", "ipc", "nccl", "lone"}))
      ->capture_default_str();
  command
      .add_option("--reduce", o.reduce,
                  "Order of sums over GPUs; fast: NCCL's own, the bits then depend on the ranks")
      ->check(CLI::IsMember({"ordered", "fast"}))
      ->capture_default_str();
  command
      .add_option_function<double>(
          "--step-timeout",
          [&o](double seconds) {
            o.step_timeout = std::chrono::milliseconds(static_cast<int64_t>(seconds * 1000));
          },
          "Seconds without an answer after which a rank is lost (60)")
      ->check(between(0.1, 86400.0));
  command.option_defaults()->group(other_flags);
}

std::vector<std::string> engine_arguments(const CLI::App& command) {
  std::vector<std::string> arguments;
  for (const CLI::Option* option : command.get_options()) {
    if (option->get_group() != kEngineGroup) continue;
    for (const std::string& value : option->results()) {
      arguments.push_back(option->get_name() + "=" + value);
    }
  }
  return arguments;
}

void require_tokenizer(const EngineOptions& options, const char* instead) {
  if (options.load_format != "dummy") return require_files(options.model);
  if (!is_preset(options.model)) return;
  throw InputError(
      fmt::format("{} is a preset, which has no tokenizer: {}", options.model.string(), instead));
}

EngineOptions place_rank(EngineOptions options, const World& world) {
  // Counted before this process is bound: the host's, not this rank's.
  const int cores = static_cast<int>(std::thread::hardware_concurrency());
  // Weights are then copied to the rank's own nodes; a file's pages lie wherever they were read.
  if (options.device != "cuda" && bind_to_numa_nodes(world.local_rank(), world.local_size())) {
    options.mmap = false;
  }
  if (options.threads == 0) options.threads = std::max(1, cores / world.local_size());
  options.local_rank = world.local_rank();
  options.ranks_on_host = world.local_size();
  return options;
}

}  // namespace octet
