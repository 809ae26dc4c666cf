// The memory ledger of one rank: what the model, the cache and a step take, computed from the
// configuration alone. The worker takes its memory by these figures and prints them at start.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "runtime/cache/kv_cache.h"
#include "runtime/engine/engine_options.h"
#include "runtime/weights/model_args.h"
#include "runtime/weights/partition.h"

namespace octet {

// Rows of logits made at a time; a step with more sampled rows takes several rounds.
inline constexpr int kLogitRows = 64;

// The options with every "auto" and 0 replaced by what it means for this model. Throws InputError
// naming the flag.
EngineOptions resolve_options(EngineOptions options, const ModelArgs& args,
                              const Partition& partition, bool quantized, int tensor_parallel_size,
                              int local_size);

// What resolved options say of int8 weights; nullopt: dequantised.
std::optional<Int8Product> int8_product(const EngineOptions& resolved);

// The cache of one rank: as many blocks as kv_cache_memory holds on the rank with the most KV
// heads, the same on every rank, at most what max_num_seqs sequences of max_model_len need. Throws
// InputError when not one sequence fits.
KVCacheConfig plan_kv_cache(const EngineOptions& resolved, const ModelArgs& args,
                            const Partition& partition, int rank, int size);

// Arena bytes of one step's activations and logits.
size_t workspace_bytes(const EngineOptions& resolved, const ModelArgs& args,
                       const Partition& partition, int rank, int size);

// Floats of the largest all_reduce_sum or gather on any rank; see CommOptions.
size_t max_reduce_floats(const EngineOptions& resolved, const ModelArgs& args,
                         const Partition& partition, int size);

// Blocks of one sequence of max_model_len.
int max_blocks_per_sequence(const EngineOptions& resolved);

std::string format_bytes(double bytes);  // "1.50 GiB"

}  // namespace octet
