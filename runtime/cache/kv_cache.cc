#include "runtime/cache/kv_cache.h"

#include "kernels/check.h"

namespace octet {

namespace {

int64_t half_block_bytes(const KVCacheConfig& config) {
  const int64_t scale = config.dtype == DType::kI8 ? sizeof(float) : 0;
  return int64_t{config.num_kv_heads} * config.block_size *
         (config.head_dim * static_cast<int64_t>(dtype_size(config.dtype)) + scale);
}

}  // namespace

int64_t kv_block_bytes(const KVCacheConfig& config) {
  return int64_t{2} * config.num_layers * half_block_bytes(config);
}

size_t kv_cache_bytes(const KVCacheConfig& config, const Backend& backend) {
  const auto half = static_cast<size_t>(config.num_blocks * half_block_bytes(config));
  return size_t{2} * static_cast<size_t>(config.num_layers) * backend.allocated_bytes(half);
}

KVCache::KVCache(Backend& backend, const KVCacheConfig& config) : config_(config) {
  OCTET_CHECK(config.dtype == DType::kF32 || config.dtype == DType::kBF16, "dtype {}",
              dtype_name(config.dtype));
  const Shape shape{config.num_blocks, config.num_kv_heads, config.block_size, config.head_dim};
  layers_.reserve(config.num_layers);
  for (int i = 0; i < config.num_layers; ++i) {
    layers_.push_back(
        {.k = backend.allocate(config.dtype, shape), .v = backend.allocate(config.dtype, shape)});
  }
}

}  // namespace octet
