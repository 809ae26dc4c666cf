#include "runtime/cache/kv_cache.h"

#include "kernels/check.h"

namespace octet {

namespace {

// Of one layer's keys, or values: elements and scales of `blocks` blocks.
struct HalfBytes {
  HalfBytes(const KVCacheConfig& config, int64_t blocks) {
    const int64_t vectors = blocks * config.num_kv_heads * config.block_size;
    elements = vectors * config.head_dim * static_cast<int64_t>(dtype_size(config.dtype));
    if (config.dtype == DType::kI8) scales = vectors * static_cast<int64_t>(sizeof(float));
  }
  int64_t elements = 0, scales = 0;
};

}  // namespace

int64_t kv_block_bytes(const KVCacheConfig& config) {
  const HalfBytes half(config, 1);
  return int64_t{2} * config.num_layers * (half.elements + half.scales);
}

size_t kv_cache_bytes(const KVCacheConfig& config, const Backend& backend) {
  const HalfBytes half(config, config.num_blocks);
  size_t bytes = backend.allocated_bytes(static_cast<size_t>(half.elements));
  if (half.scales > 0) bytes += backend.allocated_bytes(static_cast<size_t>(half.scales));
  return size_t{2} * static_cast<size_t>(config.num_layers) * bytes;
}

KVCache::KVCache(Backend& backend, const KVCacheConfig& config) : config_(config) {
  OCTET_CHECK(
      config.dtype == DType::kF32 || config.dtype == DType::kBF16 || config.dtype == DType::kI8,
      "dtype {}", dtype_name(config.dtype));
  const Shape vectors{config.num_blocks, config.num_kv_heads, config.block_size};
  const Shape elements{config.num_blocks, config.num_kv_heads, config.block_size, config.head_dim};
  const auto allocate = [&](DType dtype, Shape shape) {
    Tensor tensor = backend.allocate(dtype, shape);
    bytes_ += backend.allocated_bytes(tensor.bytes());
    return tensor;
  };
  layers_.reserve(config.num_layers);
  for (int i = 0; i < config.num_layers; ++i) {
    KVCacheView& layer = layers_.emplace_back();
    layer.k = allocate(config.dtype, elements);
    layer.v = allocate(config.dtype, elements);
    if (config.dtype != DType::kI8) continue;
    layer.k_scales = allocate(DType::kF32, vectors);
    layer.v_scales = allocate(DType::kF32, vectors);
  }
}

}  // namespace octet
