// Worker: one rank's part of the model and its step. The same code runs on every rank; only rank 0
// sees logits.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <unordered_map>

#include "comm/communicator.h"
#include "kernels/arena.h"
#include "kernels/backend.h"
#include "runtime/cache/kv_cache.h"
#include "runtime/engine/engine_options.h"
#include "runtime/models/causal_lm.h"
#include "runtime/weights/checkpoint.h"

namespace octet {

// What this rank's memory went to, in bytes.
struct MemoryLedger {
  std::string backend;
  size_t weights = 0;  // all that loading took on the device, position tables included
  size_t kv_cache = 0;
  size_t workspace = 0;     // activations, logits and the step's input
  size_t scratch = 0;       // the back end's own
  uint64_t bytes_read = 0;  // from the model's files
  double load_seconds = 0;
};

// One round of a step's sampled rows: [first, first + lists.size()) of them.
struct SampledLogits {
  int first;
  std::span<const Shortlist> lists;
  // The logits of lists[i], [vocab_size], in host memory until the next call; during the sink's
  // call.
  std::function<std::span<const float>(size_t i)> row;
};

class Worker {
 public:
  // Loads this rank's slice. Collective. Throws InputError. `communicator` is borrowed.
  Worker(const EngineOptions& resolved, const Checkpoint& checkpoint, const ModelArgs& args,
         const Partition& partition, Communicator& communicator);

  // Receives each round on rank 0.
  using LogitsSink = std::function<void(const SampledLogits&)>;

  // Runs one step from a broadcast message; false when it said stop.
  bool step(std::span<const std::byte> message, const LogitsSink& sink);

  // Sees the steps from now on; borrowed, nullptr: none. On all ranks or on none.
  void set_probe(Probe* probe) { probe_ = probe; }
  Backend& backend() { return *backend_; }
  std::vector<uint64_t> outliers() const { return model_->outliers(); }  // see CausalLM
  const MemoryLedger& memory() const { return memory_; }
  const KVCacheConfig& cache_config() const { return cache_->config(); }
  double reduce_seconds() const { return reduce_seconds_; }  // since start

 private:
  // What a round leaves on the device of rank 0; empty elsewhere.
  struct Round {
    Tensor logits;  // [m, vocab_size]
    Tensor lists;   // [m, sizeof(Shortlist)] kU8
  };
  Round make_round(Step& step, const Tensor& hidden, int first, int last);
  void deliver(int first, const Round& round, const LogitsSink& sink);
  std::span<const float> host_row(const Tensor& logits, size_t i);

  std::unique_ptr<Backend> backend_;
  std::unique_ptr<Communicator> on_device_;  // where the back end has a queue
  Communicator& communicator_;               // the steps'
  std::unique_ptr<CausalLM> model_;
  std::unique_ptr<KVCache> cache_;
  std::unique_ptr<Arena> arena_;
  Tensor input_buffer_;
  Tensor host_lists_;                                   // [kLogitRows, sizeof(Shortlist)] kU8
  Tensor host_row_;                                     // [vocab_size]; empty: none was asked for
  std::unordered_map<uint64_t, Round> round_of_shape_;  // where a replayed step leaves it
  MemoryLedger memory_;
  double reduce_seconds_ = 0;
  Probe* probe_ = nullptr;
};

}  // namespace octet
