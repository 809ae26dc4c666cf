// Attention of 12 heads of 128 over 2048 positions in bf16: decode by batch, and one prompt.
#include <fmt/format.h>

#include <numeric>
#include <vector>

#include "bench/device/timing.h"

namespace octet::bench {

void measure_attention(Bench& bench) {
  constexpr int kHeads = 12, kDim = 128, kContext = 2048, kBlock = 16;
  constexpr int kBlocks = kContext / kBlock;
  Backend& backend = *bench.backend;
  for (const int batch : {1, 8, 32, 64, 128}) {
    std::vector<KVCacheView> layers;  // more than the caches hold
    for (int i = 0; i < (batch < 32 ? 8 : 2); ++i) {
      const Shape shape{batch * kBlocks, kHeads, kBlock, kDim};
      layers.push_back(
          {backend.allocate(DType::kBF16, shape), backend.allocate(DType::kBF16, shape)});
    }
    std::vector<int32_t> tables(batch * kBlocks), cu(batch + 1);
    std::iota(tables.begin(), tables.end(), 0);
    std::iota(cu.begin(), cu.end(), 0);
    AttentionArgs args{
        .qkv = random_floats(bench, {batch, 3 * kHeads * kDim}),
        .cu_seqlens = int32s(bench, cu, {batch + 1}),
        .context_lens = int32s(bench, std::vector<int32_t>(batch, kContext), {batch}),
        .block_tables = int32s(bench, tables, {batch, kBlocks}),
        .heads = {0, kHeads, 0, kHeads, 1},
        .head_dim = kDim,
        .scale = 0.088f,
        .out = backend.allocate(DType::kF32, {batch, kHeads * kDim})};
    const double time = seconds(bench,
                                [&] {
                                  for (const KVCacheView& layer : layers) {
                                    args.cache = layer;
                                    backend.attention(args);
                                  }
                                }) /
                        static_cast<double>(layers.size());
    const double bytes = 2.0 * 2 * batch * kContext * kHeads * kDim;
    report(fmt::format("attention.decode.b{}.us", batch), time * 1e6, "us");
    report(fmt::format("attention.decode.b{}", batch), bytes / time / 1e9, "GB/s", bench.read_gb_s);
  }

  const Shape shape{kBlocks, kHeads, kBlock, kDim};
  std::vector<int32_t> table(kBlocks);
  std::iota(table.begin(), table.end(), 0);
  const AttentionArgs args{
      .qkv = random_floats(bench, {kContext, 3 * kHeads * kDim}),
      .cu_seqlens = int32s(bench, {0, kContext}, {2}),
      .context_lens = int32s(bench, {kContext}, {1}),
      .block_tables = int32s(bench, table, {1, kBlocks}),
      .heads = {0, kHeads, 0, kHeads, 1},
      .head_dim = kDim,
      .scale = 0.088f,
      .alibi_slopes = {},
      .cache = {backend.allocate(DType::kBF16, shape), backend.allocate(DType::kBF16, shape)},
      .out = backend.allocate(DType::kF32, {kContext, kHeads * kDim})};
  const double time = seconds(bench, [&] { backend.attention(args); });
  report("attention.prefill.2048.us", time * 1e6, "us");
  report("attention.prefill.2048", 2.0 * kContext * kContext * kHeads * kDim / time / 1e12,
         "TFLOPS");
}

}  // namespace octet::bench
