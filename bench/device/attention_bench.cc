// Attention of 12 heads of 128 over 2048 positions, K and V in bf16 and in int8: decode by batch,
// and one prompt.
#include <fmt/format.h>

#include <numeric>
#include <vector>

#include "bench/device/timing.h"

namespace octet::bench {
namespace {

constexpr int kHeads = 12, kDim = 128, kContext = 2048, kBlock = 16;
constexpr int kBlocks = kContext / kBlock;

struct Kind {
  const char* name;
  DType dtype;
};
constexpr Kind kKinds[] = {{"", DType::kBF16}, {"int8.", DType::kI8}};

KVCacheView cache_of(Backend& backend, DType dtype, int64_t blocks) {
  const Shape shape{blocks, kHeads, kBlock, kDim}, vectors{blocks, kHeads, kBlock};
  KVCacheView cache{.k = backend.allocate(dtype, shape), .v = backend.allocate(dtype, shape)};
  if (dtype == DType::kI8) {
    cache.k_scales = backend.allocate(DType::kF32, vectors);
    cache.v_scales = backend.allocate(DType::kF32, vectors);
  }
  return cache;
}

double bytes_of(const KVCacheView& cache) {
  return static_cast<double>(cache.k.bytes() + cache.v.bytes() + cache.k_scales.bytes() +
                             cache.v_scales.bytes());
}

void measure_decode(Bench& bench, const Kind& kind, int batch) {
  Backend& backend = *bench.backend;
  std::vector<KVCacheView> layers;  // more than the caches hold
  for (int i = 0; i < (batch < 32 ? 8 : 2); ++i) {
    layers.push_back(cache_of(backend, kind.dtype, batch * kBlocks));
  }
  std::vector<int32_t> tables(batch * kBlocks), cu(batch + 1);
  std::iota(tables.begin(), tables.end(), 0);
  std::iota(cu.begin(), cu.end(), 0);
  AttentionArgs args{.qkv = random_floats(bench, {batch, 3 * kHeads * kDim}),
                     .cu_seqlens = int32s(bench, cu, {batch + 1}),
                     .context_lens = int32s(bench, std::vector<int32_t>(batch, kContext), {batch}),
                     .block_tables = int32s(bench, tables, {batch, kBlocks}),
                     .heads = {0, kHeads, 0, kHeads, 1},
                     .head_dim = kDim,
                     .scale = 0.088f,
                     .alibi_slopes = {},
                     .cache = {},
                     .out = backend.allocate(DType::kF32, {batch, kHeads * kDim})};
  const double time = seconds(bench,
                              [&] {
                                for (const KVCacheView& layer : layers) {
                                  args.cache = layer;
                                  backend.attention(args);
                                }
                              }) /
                      static_cast<double>(layers.size());
  const std::string name = fmt::format("attention.decode.{}b{}", kind.name, batch);
  report(name + ".us", time * 1e6, "us");
  report(name, bytes_of(layers[0]) / time / 1e9, "GB/s", bench.read_gb_s);
}

void measure_prefill(Bench& bench, const Kind& kind) {
  Backend& backend = *bench.backend;
  std::vector<int32_t> table(kBlocks);
  std::iota(table.begin(), table.end(), 0);
  const AttentionArgs args{.qkv = random_floats(bench, {kContext, 3 * kHeads * kDim}),
                           .cu_seqlens = int32s(bench, {0, kContext}, {2}),
                           .context_lens = int32s(bench, {kContext}, {1}),
                           .block_tables = int32s(bench, table, {1, kBlocks}),
                           .heads = {0, kHeads, 0, kHeads, 1},
                           .head_dim = kDim,
                           .scale = 0.088f,
                           .alibi_slopes = {},
                           .cache = cache_of(backend, kind.dtype, kBlocks),
                           .out = backend.allocate(DType::kF32, {kContext, kHeads * kDim})};
  const double time = seconds(bench, [&] { backend.attention(args); });
  const std::string name = fmt::format("attention.prefill.{}2048", kind.name);
  report(name + ".us", time * 1e6, "us");
  report(name, 2.0 * kContext * kContext * kHeads * kDim / time / 1e12, "TFLOPS");
}

}  // namespace

void measure_attention(Bench& bench) {
  for (const Kind& kind : kKinds) {
    for (const int batch : {1, 8, 32, 64, 128}) {
      if (bench.wants(batch)) measure_decode(bench, kind, batch);
    }
    if (bench.wants(kContext)) measure_prefill(bench, kind);
  }
}

}  // namespace octet::bench
