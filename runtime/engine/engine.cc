#include "runtime/engine/engine.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <exception>
#include <numeric>
#include <optional>
#include <string>
#include <vector>

#include "kernels/backend_factory.h"
#include "kernels/say.h"
#include "runtime/engine/agree.h"
#include "runtime/engine/leader.h"
#include "runtime/engine/ledger.h"
#include "runtime/engine/plan.h"
#include "runtime/engine/rank_ledger.h"
#include "runtime/engine/worker.h"
#include "runtime/request/error.h"

namespace octet {
namespace {

// Of what ranks tell each other outside of steps: agree.h, and the ledger's rows.
constexpr size_t kAgreementFloats = 64;

// Before anything is loaded: what this rank will take, and that it is there.
RankLedger planned_memory(const Plan& plan, const Communicator& communicator) {
  const auto backend = make_backend({.device = plan.options.device,
                                     .isa = plan.options.isa,
                                     .threads = plan.options.threads,
                                     .local_rank = plan.options.local_rank});
  const RankLedger ledger = rank_ledger(plan, *backend, communicator.rank(), communicator.size());
  require_memory(ledger, plan.options, communicator.size(),
                 {.available = backend->available_bytes(),
                  .devices = devices_with_memory(plan.options.device)});
  return ledger;
}

void print_ledger(const Worker& worker, const RankLedger& planned, const GroupInfo& info,
                  Communicator& communicator) {
  const MemoryLedger& own = worker.memory();
  const auto megabytes = [](size_t bytes) { return static_cast<float>(bytes) * 1e-6f; };
  const auto unplanned = [](size_t taken, size_t of_plan) {
    return static_cast<float>(static_cast<double>(taken) - static_cast<double>(of_plan));
  };
  constexpr size_t kColumns = 11;
  const std::array<float, kColumns> row{megabytes(own.weights),
                                        megabytes(own.kv_cache),
                                        megabytes(own.workspace),
                                        megabytes(own.scratch),
                                        megabytes(planned.communication),
                                        megabytes(own.bytes_read),
                                        static_cast<float>(own.load_seconds),
                                        unplanned(own.weights, planned.weights),
                                        unplanned(own.kv_cache, planned.kv_cache),
                                        unplanned(own.workspace, planned.workspace + planned.input),
                                        unplanned(own.scratch, planned.scratch)};
  const std::vector<size_t> counts(communicator.size(), kColumns);
  std::vector<float> rows(communicator.rank() == 0 ? kColumns * counts.size() : 0);
  communicator.gather(row, 1, counts, rows, 0);
  if (communicator.rank() != 0) return;
  std::string text = fmt::format("octet: {} rank(s), {}, communicator {}\n", counts.size(),
                                 own.backend, communicator.name());
  text += fmt::format("{:>6}{:>12}{:>12}{:>12}{:>12}{:>12}{:>12}{:>12}\n", "rank", "weights",
                      "KV cache", "workspace", "scratch", "buffers", "read", "load");
  std::string differs;
  for (size_t rank = 0; rank < counts.size(); ++rank) {
    const float* r = rows.data() + rank * kColumns;
    text += fmt::format("{:>6}", rank);
    for (size_t i = 0; i < 6; ++i) text += fmt::format("{:>12}", format_bytes(r[i] * 1e6));
    text += fmt::format("{:>10.2f} s\n", r[6]);
    const char* names[] = {"weights", "KV cache", "workspace", "scratch"};
    for (size_t i = 0; i < 4; ++i) {
      if (r[7 + i] == 0) continue;
      differs += fmt::format("octet: rank {} took {:+.0f} bytes of {} over what was planned\n",
                             rank, r[7 + i], names[i]);
    }
  }
  text += differs.empty() ? "memory is as planned\n" : differs;
  text += fmt::format("KV cache: {} blocks of {} tokens; {} sequence(s) of {} tokens fit\n",
                      worker.cache_config().num_blocks, worker.cache_config().block_size,
                      info.kv_cache_tokens / info.max_model_len, info.max_model_len);
  say_text(text);
}

// One token through everything, on every rank: first touches of memory and threads, and what the
// first call of linear_top() prepares, are not the first request's.
void warm_up(Worker& worker) {
  ModelInput input;
  input.max_blocks = 1;
  input.token_ids = input.positions = input.slot_mapping = input.block_tables = {0};
  input.add_top(0);
  input.cu_seqlens = {0, 1};
  input.context_lens = {1};
  std::vector<int32_t> words;
  input.encode(words);
  worker.step(std::as_bytes(std::span(words)), [](const SampledLogits&) {});
}

void lead_group(Leader& leader, const std::function<void(Engine&)>& lead) {
  try {
    lead(leader);
  } catch (const RankLost&) {
    throw;  // nobody is left to tell
  } catch (...) {
    leader.broadcast_stop();
    throw;
  }
  leader.broadcast_stop();
}

}  // namespace

std::string why_impossible(const Request& request, const GroupInfo& info) {
  try {
    validate(request.sampling);
  } catch (const InputError& error) {
    return error.what();
  }
  if (request.prompt.empty()) return "the prompt has no tokens";
  for (const int32_t id : request.prompt) {
    if (id < 0 || id >= info.vocab_size) {
      return fmt::format("prompt token {} is outside the vocabulary of {}", id, info.vocab_size);
    }
  }
  const int64_t total = static_cast<int64_t>(request.prompt.size()) + request.sampling.max_tokens;
  if (total > info.max_model_len) {
    return fmt::format("{} prompt tokens and max_tokens {} exceed the model's length of {}",
                       request.prompt.size(), request.sampling.max_tokens, info.max_model_len);
  }
  if (total > info.kv_cache_tokens) {
    return fmt::format("{} prompt tokens and max_tokens {} exceed the KV cache of {} tokens",
                       request.prompt.size(), request.sampling.max_tokens, info.kv_cache_tokens);
  }
  return "";
}

CommOptions comm_options(const EngineOptions& options, int tensor_parallel_size) {
  return comm_options(Plan(options, tensor_parallel_size), tensor_parallel_size);
}

CommOptions comm_options(const Plan& plan, int tensor_parallel_size) {
  const EngineOptions& options = plan.options;
  const size_t input = max_model_input_bytes(options.max_num_batched_tokens, options.max_num_seqs,
                                             max_blocks_per_sequence(options));
  const size_t of_steps =
      max_reduce_floats(options, plan.files.args, plan.partition, tensor_parallel_size);
  return {.kind = options.communicator,
          .max_reduce_floats = std::max(kAgreementFloats, of_steps),
          .max_message_bytes = std::max(kErrorBytes, input),
          .timeout = options.step_timeout};
}

void run_rank(const EngineOptions& options, Communicator& communicator,
              const std::function<void(Engine&)>& lead) {
  std::optional<Plan> plan;
  all_or_none(communicator, [&] { plan.emplace(options, communicator.size()); });
  run_rank(std::move(*plan), communicator, lead);
}

void run_rank(Plan plan, Communicator& communicator, const std::function<void(Engine&)>& lead) {
  std::optional<Worker> worker;
  EngineOptions& resolved = plan.options;
  resolved.kv_cache_memory = broadcast_value(communicator, resolved.kv_cache_memory);
  RankLedger planned;
  all_or_none(communicator, [&] { planned = planned_memory(plan, communicator); });
  all_or_none(communicator, [&] {
    worker.emplace(resolved, *plan.files.checkpoint, plan.files.args, plan.partition, communicator);
  });

  const KVCacheConfig& cache = worker->cache_config();
  const GroupInfo info{.tensor_parallel_size = communicator.size(),
                       .max_model_len = resolved.max_model_len,
                       .max_num_seqs = resolved.max_num_seqs,
                       .kv_cache_tokens = int64_t{cache.num_blocks} * cache.block_size,
                       .vocab_size = plan.files.args.vocab_size};
  if (resolved.warm_up) warm_up(*worker);
  if (resolved.print_ledger) print_ledger(*worker, planned, info, communicator);

  if (communicator.rank() == 0) {
    Leader leader(info,
                  {.max_num_seqs = resolved.max_num_seqs,
                   .max_num_batched_tokens = resolved.max_num_batched_tokens,
                   .chunked_prefill = resolved.enable_chunked_prefill,
                   .prefix_caching = resolved.enable_prefix_caching,
                   .block_size = resolved.block_size,
                   .num_blocks = cache.num_blocks},
                  plan.files.args.eos_token_ids, *worker, communicator);
    lead_group(leader, lead);
    return;
  }
  while (worker->step(communicator.broadcast({}, 0), {})) {
  }
}

}  // namespace octet
