#include "runtime/engine/ledger.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "comm/reduce_plan.h"
#include "kernels/arena.h"
#include "kernels/shortlist.h"
#include "runtime/request/error.h"

namespace octet {
namespace {

// `least_is`: what the smallest value is, where it is another flag's.
void require_range(const char* flag, int64_t value, int64_t least, int64_t most,
                   const char* least_is = "") {
  if (value < least || value > most) {
    throw InputError(
        fmt::format("{} is {}, must be from {}{} to {}", flag, value, least, least_is, most));
  }
}

int64_t free_memory() {
  return static_cast<int64_t>(sysconf(_SC_AVPHYS_PAGES)) * sysconf(_SC_PAGESIZE);
}

int max_kv_heads(const Partition& partition, int size) {
  int most = 0;
  for (int rank = 0; rank < size; ++rank) {
    most = std::max(most, partition.heads(rank, size).num_kv());
  }
  return most;
}

KVCacheConfig cache_shape(const EngineOptions& options, const ModelArgs& args, int kv_heads) {
  return {.num_layers = args.num_hidden_layers,
          .num_blocks = 0,
          .block_size = options.block_size,
          .num_kv_heads = kv_heads,
          .head_dim = args.head_dim,
          .dtype = options.kv_cache_dtype == "int8"       ? DType::kI8
                   : options.kv_cache_dtype == "bfloat16" ? DType::kBF16
                                                          : DType::kF32};
}

}  // namespace

std::optional<Int8Product> int8_product(const EngineOptions& resolved) {
  if (resolved.quantization == "llm-int8") return Int8Product::kLlmInt8;
  if (resolved.quantization == "w8a8") return Int8Product::kW8A8;
  if (resolved.quantization == "w8a16") return Int8Product::kW8A16;
  if (resolved.quantization == "none") return std::nullopt;
  throw InputError(
      fmt::format("--quantization is \"{}\", must be auto, llm-int8, w8a8, w8a16 or none",
                  resolved.quantization));
}

EngineOptions resolve_options(EngineOptions options, const ModelArgs& args,
                              const Partition& partition, bool quantized, int tensor_parallel_size,
                              int local_size) {
  if (options.quantization == "auto") options.quantization = quantized ? "llm-int8" : "none";
  if (int8_product(options) && !quantized) {
    throw InputError(
        fmt::format("{}: --quantization {} needs int8 weights; make an artefact with "
                    "octet quantize",
                    options.model.string(), options.quantization));
  }
  if (!(options.outlier_threshold > 0)) {
    throw InputError(
        fmt::format("--outlier-threshold is {}, must be more than 0", options.outlier_threshold));
  }
  if (options.kv_cache_dtype == "auto") {
    options.kv_cache_dtype = options.quantization == "none" ? "float32" : "bfloat16";
  }
  const std::string& kept = options.kv_cache_dtype;
  if (kept != "float32" && kept != "bfloat16" && kept != "int8") {
    throw InputError(
        fmt::format("--kv-cache-dtype is \"{}\", must be auto, float32, bfloat16 or int8", kept));
  }
  if (options.max_model_len == 0) options.max_model_len = args.max_position_embeddings;
  require_range("--max-model-len", options.max_model_len, 1, args.max_position_embeddings);
  require_range("--max-num-seqs", options.max_num_seqs, 1, 4096);
  require_range("--block-size", options.block_size, 1, 1024);
  if (!options.enable_chunked_prefill) {
    options.max_num_batched_tokens =
        std::max(options.max_num_batched_tokens, options.max_model_len);
  }
  const int64_t most = int64_t{options.max_num_seqs} * options.max_model_len;
  options.max_num_batched_tokens =
      static_cast<int>(std::min<int64_t>(options.max_num_batched_tokens, most));
  require_range("--max-num-batched-tokens", options.max_num_batched_tokens, options.max_num_seqs,
                1 << 20, " (--max-num-seqs)");
  require_range("--threads", options.threads, 0, 1024);
  if (options.kv_cache_memory < 0) {
    throw InputError(
        fmt::format("--kv-cache-memory is {}, must be 0 or more bytes", options.kv_cache_memory));
  }
  if (options.kv_cache_memory == 0) {
    const int kv_heads = max_kv_heads(partition, tensor_parallel_size);
    const int64_t full = int64_t{options.max_num_seqs} * max_blocks_per_sequence(options) *
                         kv_block_bytes(cache_shape(options, args, kv_heads));
    constexpr int64_t kMost = int64_t{4} << 30;
    options.kv_cache_memory = std::min({full, free_memory() / 4 / local_size, kMost});
  }
  return options;
}

int max_blocks_per_sequence(const EngineOptions& resolved) {
  return (resolved.max_model_len + resolved.block_size - 1) / resolved.block_size;
}

KVCacheConfig plan_kv_cache(const EngineOptions& resolved, const ModelArgs& args,
                            const Partition& partition, int rank, int size) {
  const int64_t block_bytes =
      kv_block_bytes(cache_shape(resolved, args, max_kv_heads(partition, size)));
  const int64_t wanted = int64_t{resolved.max_num_seqs} * max_blocks_per_sequence(resolved);
  const int64_t blocks = std::min(wanted, resolved.kv_cache_memory / block_bytes);
  if (blocks < 1) {
    throw InputError(fmt::format("--kv-cache-memory {} holds no block of {} bytes",
                                 resolved.kv_cache_memory, block_bytes));
  }
  KVCacheConfig config = cache_shape(resolved, args, partition.heads(rank, size).num_kv());
  config.num_blocks = static_cast<int>(blocks);
  return config;
}

size_t workspace_bytes(const EngineOptions& resolved, const ModelArgs& args,
                       const Partition& partition, int rank, int size) {
  const int64_t n = resolved.max_num_batched_tokens;
  const HeadRange heads = partition.heads(rank, size);
  const auto f32 = [](int64_t rows, int64_t columns) {
    return arena_bytes(DType::kF32, {rows, columns});
  };
  const TensorSlice mlp = partition.slice(Role::kMlpOut, args.intermediate_size, rank, size);
  const TensorSlice vocab = partition.slice(Role::kVocab, args.vocab_size, rank, size);
  const size_t attention = f32(n, int64_t{heads.num_q() + 2 * heads.num_kv()} * args.head_dim) +
                           f32(n, int64_t{heads.num_q()} * args.head_dim);
  const size_t gate = f32(n, mlp.end - mlp.begin);
  size_t logits = f32(kLogitRows, vocab.end - vocab.begin);
  if (rank == 0 && size > 1) logits += f32(kLogitRows, args.vocab_size);
  if (rank == 0) logits += arena_bytes(DType::kU8, {kLogitRows, sizeof(Shortlist)});
  size_t narrow = 0;  // the embedding's width, where it is not the stream's
  if (args.word_embed_proj_dim > 0) {
    narrow = f32(n, args.embedding_size());
    logits += f32(kLogitRows, args.embedding_size());
  }
  constexpr int kStreams = 4;  // models/blocks.h; and the sampled rows
  return kStreams * f32(n, args.hidden_size) + std::max({attention, gate, logits, narrow});
}

size_t max_reduce_floats(const EngineOptions& resolved, const ModelArgs& args,
                         const Partition& partition, int size) {
  if (size == 1) return 0;  // products write their sums where they belong
  const int roots = std::max({1, ReducePlan(partition.mlp_shards(), size).max_roots_per_rank(),
                              ReducePlan(partition.attention_shards(), size).max_roots_per_rank()});
  size_t most = static_cast<size_t>(roots) * resolved.max_num_batched_tokens *
                std::max(args.hidden_size, args.embedding_size());
  for (int rank = 0; rank < size; ++rank) {
    const TensorSlice vocab = partition.slice(Role::kVocab, args.vocab_size, rank, size);
    most = std::max(most, static_cast<size_t>(kLogitRows * (vocab.end - vocab.begin)));
  }
  return most;
}

std::string format_bytes(double bytes) {
  const char* units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  int unit = 0;
  while (bytes >= 1024 && unit < 4) {
    bytes /= 1024;
    ++unit;
  }
  return fmt::format("{:.{}f} {}", bytes, unit == 0 ? 0 : 2, units[unit]);
}

}  // namespace octet
