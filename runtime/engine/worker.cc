#include "runtime/engine/worker.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <span>
#include <string>

#include "comm/communicator_factory.h"
#include "kernels/backend_factory.h"
#include "runtime/engine/agree.h"
#include "runtime/engine/ledger.h"
#include "runtime/layers/weight_scope.h"
#include "runtime/models/open_model.h"
#include "runtime/request/error.h"

namespace octet {
namespace {

// What decides a sum's last bits: "cpu amx-int8" of "cpu amx-int8, 2 threads". GPUs may have names
// of their own.
std::string kind_of(const Backend& backend) {
  if (backend.queue().device >= 0) return "cuda";
  const std::string name = backend.name();
  return name.substr(0, name.find(','));
}

// A rank without its device does not leave the others waiting for it. All run the same kernels:
// with others an answer's last bits would depend on the number of ranks.
std::unique_ptr<Backend> make_backend_on_all(const EngineOptions& resolved,
                                             Communicator& communicator) {
  std::unique_ptr<Backend> backend;
  all_or_none(communicator, [&] {
    backend = make_backend({.device = resolved.device,
                            .isa = resolved.isa,
                            .threads = resolved.threads,
                            .local_rank = resolved.local_rank});
  });
  const std::string own = kind_of(*backend);
  const auto told = communicator.broadcast(std::as_bytes(std::span(own)), 0);
  const std::string first(reinterpret_cast<const char*>(told.data()), told.size());
  all_or_none(communicator, [&] {
    if (own == first) return;
    throw InputError(fmt::format(
        "this rank runs {}, rank 0 {}; give --device and --isa that all have", own, first));
  });
  return backend;
}

// The steps' communicator, where the host's will not do. Collective.
std::unique_ptr<Communicator> make_on_device(const Backend& backend, Communicator& host,
                                             const EngineOptions& resolved, size_t most_floats) {
  if (backend.queue().device >= 0 && host.size() > 1) {
    return make_device_communicator(host, backend.queue(),
                                    {.kind = resolved.communicator,
                                     .reduce = resolved.reduce,
                                     .max_reduce_floats = most_floats,
                                     .timeout = resolved.step_timeout});
  }
  if (resolved.reduce == "fast" || resolved.communicator == "ipc" ||
      resolved.communicator == "nccl") {
    throw InputError(
        fmt::format("--communicator {} --reduce {}: for several ranks on GPUs, this is {} "
                    "rank(s) on {}",
                    resolved.communicator, resolved.reduce, host.size(), backend.name()));
  }
  return nullptr;
}

}  // namespace

Worker::Worker(const EngineOptions& resolved, const Checkpoint& checkpoint, const ModelArgs& args,
               const Partition& partition, Communicator& communicator)
    : backend_(make_backend_on_all(resolved, communicator)),
      on_device_(make_on_device(*backend_, communicator, resolved,
                                max_reduce_floats(resolved, args, partition, communicator.size()))),
      communicator_(on_device_ != nullptr ? *on_device_ : communicator),
      host_lists_(Tensor::host(DType::kU8, {kLogitRows, sizeof(Shortlist)})) {
  const auto start = std::chrono::steady_clock::now();
  const int rank = communicator.rank(), size = communicator.size();
  Checks checks(resolved.threads);
  const ModelContext context{.args = args,
                             .partition = partition,
                             .checkpoint = checkpoint,
                             .backend = *backend_,
                             .rank = rank,
                             .size = size,
                             .int8_product = int8_product(resolved),
                             .outlier_threshold = resolved.outlier_threshold,
                             .max_model_len = resolved.max_model_len,
                             .held_bytes = memory_.weights,
                             .checks = resolved.mmap ? &checks : nullptr};
  model_ = make_model(context);
  checks.finish();
  memory_.scratch = backend_->reserve(resolved.max_num_batched_tokens);
  cache_ =
      std::make_unique<KVCache>(*backend_, plan_kv_cache(resolved, args, partition, rank, size));
  const size_t workspace = workspace_bytes(resolved, args, partition, rank, size);
  const Tensor block = backend_->allocate(DType::kU8, {static_cast<int64_t>(workspace)});
  if (backend_->queue().device < 0) {  // its pages are taken here and not in a step
    std::fill_n(block.raw_data(), block.bytes(), std::byte{});
  }
  arena_ = std::make_unique<Arena>(block);
  const size_t input_bytes = max_model_input_bytes(
      resolved.max_num_batched_tokens, resolved.max_num_seqs, max_blocks_per_sequence(resolved));
  input_buffer_ =
      backend_->allocate(DType::kI32, {static_cast<int64_t>(input_bytes / sizeof(int32_t))});
  memory_.kv_cache = cache_->bytes();
  memory_.workspace =
      backend_->allocated_bytes(workspace) + backend_->allocated_bytes(input_buffer_.bytes());
  memory_.backend = backend_->name();
  memory_.bytes_read = checkpoint.bytes_read();
  memory_.load_seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

bool Worker::step(std::span<const std::byte> message, const LogitsSink& sink) {
  const DeviceInput input = upload_model_input(*backend_, message, input_buffer_);
  if (input.stop) return false;
  arena_->release();
  Step step{.backend = *backend_,
            .comm = communicator_,
            .arena = *arena_,
            .cache = *cache_,
            .input = input,
            .reduce_seconds = reduce_seconds_,
            .probe = probe_};
  if (input.decode_only() && input.num_sampled() <= kLogitRows && probe_ == nullptr) {
    Round& round = round_of_shape_[input.shape_key()];
    backend_->replay(input.shape_key(), [&] {
      round = make_round(step, model_->forward(step), 0, input.num_sampled());
    });
    deliver(0, round, sink);
    return true;
  }
  const Tensor hidden = model_->forward(step);
  const size_t mark = arena_->used();
  for (int first = 0; first < input.num_sampled(); first += kLogitRows) {
    const int last = std::min(first + kLogitRows, input.num_sampled());
    deliver(first, make_round(step, hidden, first, last), sink);
    arena_->release(mark);
  }
  return true;
}

Worker::Round Worker::make_round(Step& step, const Tensor& hidden, int first, int last) {
  Round round{.logits = model_->logits(step, hidden.rows(first, last)), .lists = {}};
  if (round.logits.empty()) return round;
  round.lists = step.arena.allocate(DType::kU8, {last - first, sizeof(Shortlist)});
  backend_->shortlist({.logits = round.logits,
                       .inverse_temperatures = step.input.inverse_temperatures.rows(first, last),
                       .scored_tokens = step.input.scored_tokens.rows(first, last),
                       .out = round.lists});
  return round;
}

void Worker::deliver(int first, const Round& round, const LogitsSink& sink) {
  communicator_.settle();
  if (round.logits.empty()) {
    backend_->synchronize();
    return;
  }
  const Tensor lists = host_lists_.rows(0, round.lists.dim(0));
  backend_->download(round.lists, lists);
  sink({.first = first,
        .lists = {reinterpret_cast<const Shortlist*>(lists.raw_data()),
                  static_cast<size_t>(lists.dim(0))},
        .row = [&](size_t i) { return host_row(round.logits, i); }});
}

std::span<const float> Worker::host_row(const Tensor& logits, size_t i) {
  const auto at = static_cast<int64_t>(i);
  const Tensor row = logits.rows(at, at + 1);
  if (backend_->queue().device < 0) return row.span<const float>();
  if (host_row_.empty()) host_row_ = Tensor::host(DType::kF32, {row.numel()});
  backend_->download(row, host_row_);
  return host_row_.span<const float>();
}

}  // namespace octet
