// KVCache: this rank's paged keys and values of all layers, one allocation a layer and half, taken
// at start. Which blocks belong to which sequence is the leader's business (BlockAllocator,
// Scheduler).
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/backend.h"

namespace octet {

struct KVCacheConfig {
  int num_layers = 0;
  int num_blocks = 0;
  int block_size = 16;   // tokens
  int num_kv_heads = 0;  // of this rank; may be 0
  int head_dim = 0;
  DType dtype = DType::kF32;  // kF32, kBF16, or kI8 with a scale a token and head
};

// Bytes of one block over all layers, keys and values.
int64_t kv_block_bytes(const KVCacheConfig& config);

// All that such a cache will take of a back end's memory.
size_t kv_cache_bytes(const KVCacheConfig& config, const Backend& backend);

class KVCache {
 public:
  KVCache(Backend& backend, const KVCacheConfig& config);

  const KVCacheConfig& config() const { return config_; }
  const KVCacheView& layer(int i) const { return layers_[i]; }
  size_t bytes() const { return bytes_; }  // taken of the back end's memory

 private:
  KVCacheConfig config_;
  size_t bytes_ = 0;
  std::vector<KVCacheView> layers_;
};

}  // namespace octet
