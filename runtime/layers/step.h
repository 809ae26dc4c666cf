// Step: what a layer's forward may touch besides its own weights. Lives for one step on one rank.
#pragma once

#include "comm/communicator.h"
#include "kernels/arena.h"
#include "kernels/backend.h"
#include "runtime/cache/kv_cache.h"
#include "runtime/layers/model_input.h"
#include "runtime/layers/probe.h"

namespace octet {

struct Step {
  Backend& backend;
  Communicator& comm;
  Arena& arena;
  const KVCache& cache;
  const DeviceInput& input;
  // Added to: time in reduces and in meetings of shared norms, waiting included; not adding in
  // norms.
  double& reduce_seconds;

  Probe* probe = nullptr;  // on all ranks or on none
  // Does each rank norm its own rows for all? See shared_norms.h.
  bool shares_norms = false;

  int64_t num_tokens() const { return input.num_tokens(); }
  void observe(Stage stage, int layer, const Tensor& value) const;  // shows it to the probe
};

}  // namespace octet
