#include "runtime/engine/rank_ledger.h"

#include <fmt/format.h>

#include <algorithm>

#include "comm/communicator_factory.h"
#include "runtime/engine/engine.h"
#include "runtime/engine/ledger.h"
#include "runtime/layers/model_input.h"
#include "runtime/request/error.h"

namespace octet {

size_t RankLedger::total() const { return on_device() + communication; }

size_t RankLedger::peak() const { return std::max(total(), weights + communication + staging); }

size_t RankLedger::on_device() const { return weights + scratch + kv_cache + workspace + input; }

Footprint footprint(const Plan& plan, Backend& backend, int rank, int size) {
  size_t held = 0;
  Checks checks(1);
  return footprint(ModelContext{.args = plan.files.args,
                                .partition = plan.partition,
                                .checkpoint = *plan.files.checkpoint,
                                .backend = backend,
                                .rank = rank,
                                .size = size,
                                .int8_product = int8_product(plan.options),
                                .outlier_threshold = plan.options.outlier_threshold,
                                .max_model_len = plan.options.max_model_len,
                                .held_bytes = held,
                                .checks = plan.options.mmap ? &checks : nullptr});
}

RankLedger rank_ledger(const Plan& plan, Backend& backend, int rank, int size) {
  const Footprint model = footprint(plan, backend, rank, size);
  const EngineOptions& options = plan.options;
  const KVCacheConfig cache = plan_kv_cache(options, plan.files.args, plan.partition, rank, size);
  const size_t input = max_model_input_bytes(options.max_num_batched_tokens, options.max_num_seqs,
                                             max_blocks_per_sequence(options));
  return {.weights = model.packed + model.tensors,
          .scratch = backend.scratch_bytes(model.shapes(), options.max_num_batched_tokens),
          .kv_cache = kv_cache_bytes(cache, backend),
          .workspace = backend.allocated_bytes(
              workspace_bytes(options, plan.files.args, plan.partition, rank, size)),
          .input = backend.allocated_bytes(input),
          .communication = communicator_bytes(comm_options(plan, size), size),
          .staging = model.staging};
}

void require_memory(const RankLedger& ledger, const EngineOptions& resolved, int size,
                    const MemoryThere& memory) {
  const int here = resolved.ranks_on_host > 0 ? std::min(resolved.ranks_on_host, size) : size;
  const bool own = memory.devices > 0;
  const int sharing = own ? (here + memory.devices - 1) / memory.devices : here;
  const size_t of_rank = own ? ledger.on_device() : ledger.peak() - ledger.communication;
  const size_t needed = of_rank * static_cast<size_t>(sharing);
  if (needed <= memory.available) return;
  const auto shown = [](size_t bytes) { return format_bytes(static_cast<double>(bytes)); };
  throw InputError(fmt::format(
      "{}: {} rank(s) {} need {} more of memory, {} is available; a rank takes {} of weights, {} "
      "of "
      "KV cache, {} of workspace, {} of buffers, and {} while it loads",
      resolved.model.string(), sharing, own ? "on one device" : "here", shown(needed),
      shown(memory.available), shown(ledger.weights), shown(ledger.kv_cache),
      shown(ledger.workspace), shown(ledger.scratch + ledger.input), shown(ledger.staging)));
}

}  // namespace octet
