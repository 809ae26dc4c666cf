#include "runtime/capacity/measure_attention.h"

#include <algorithm>

#include "runtime/capacity/stopwatch.h"

namespace octet {
namespace {

constexpr int kKvHeads = 2;
constexpr int kBlockSize = 16;
constexpr int kQueryRows[] = {1, 4, 16, 64};
constexpr int kContexts[] = {16, 128, 512, 2048};
constexpr int kGroups[] = {1, 4, 8};
constexpr int kHeadDims[] = {64, 128};
constexpr int kBlocks = 64 * 2048 / kBlockSize;  // of 64 sequences at the longest context

// A cache of one layer, as large as the most that is measured; calls begin at different places of
// it, so that short contexts come from memory too, as they do where every layer has its own.
class AttentionBench {
 public:
  AttentionBench(Backend& backend, int head_dim) : backend_(backend), head_dim_(head_dim) {
    const Shape shape{kBlocks, kKvHeads, kBlockSize, head_dim};
    cache_ = {backend.allocate(DType::kBF16, shape), backend.allocate(DType::kBF16, shape)};
  }

  double attention_seconds(int rows, int context, int group) {
    const int blocks = (context + kBlockSize - 1) / kBlockSize;
    constexpr int kPlaces = 8;
    std::vector<AttentionArgs> calls;
    for (int place = 0; place < kPlaces; ++place) {
      std::vector<int32_t> tables, ends, lengths(rows, context);
      for (int row = 0; row <= rows; ++row) ends.push_back(row);
      for (int i = 0; i < rows * blocks; ++i) {
        tables.push_back((i + place * kBlocks / kPlaces) % kBlocks);
      }
      const int64_t width = int64_t{group + 2} * kKvHeads * head_dim_;
      calls.push_back(
          {.qkv = backend_.allocate(DType::kF32, {rows, width}),
           .cu_seqlens = device(ends),
           .context_lens = device(lengths),
           .block_tables = device(tables).reshape({rows, blocks}),
           .heads = heads(group),
           .head_dim = head_dim_,
           .scale = 0.1f,
           .alibi_slopes = {},
           .cache = cache_,
           .out = backend_.allocate(DType::kF32, {rows, int64_t{group} * kKvHeads * head_dim_})});
    }
    const double work = static_cast<double>(rows) * context * group * head_dim_;
    const int inner = std::clamp(static_cast<int>(1e6 / work), 1, 16);
    return call_seconds(7, inner, [&](int i) {
      backend_.attention(calls[i % kPlaces]);
      backend_.synchronize();
    });
  }

  double rotate_seconds(int rows, int heads_in_all) {
    const int group = heads_in_all / kKvHeads - 1;
    std::vector<int32_t> positions, slots;
    for (int row = 0; row < rows; ++row) {
      positions.push_back(row);
      slots.push_back(row * 37 % (kBlocks * kBlockSize));
    }
    const RopeStoreArgs call{
        .qkv = backend_.allocate(DType::kF32, {rows, int64_t{heads_in_all + kKvHeads} * head_dim_}),
        .q_norm = {},
        .k_norm = {},
        .positions = device(positions),
        .slots = device(slots),
        .cos_sin = backend_.allocate(DType::kF32, {2048, head_dim_}),
        .heads = heads(group),
        .head_dim = head_dim_,
        .cache = cache_};
    return call_seconds(9, 8, [&](int) {
      backend_.rope_store(call);
      backend_.synchronize();
    });
  }

 private:
  static HeadRange heads(int group) {
    return {
        .q_begin = 0, .q_end = group * kKvHeads, .kv_begin = 0, .kv_end = kKvHeads, .group = group};
  }

  Tensor device(const std::vector<int32_t>& values) {
    const auto count = static_cast<int64_t>(values.size());
    const Tensor tensor = backend_.allocate(DType::kI32, {count});
    backend_.upload(Tensor::view(const_cast<int32_t*>(values.data()), DType::kI32, {count}),
                    tensor);
    return tensor;
  }

  Backend& backend_;
  int head_dim_;
  KVCacheView cache_;
};

}  // namespace

std::vector<ProfileTable> measure_attention(Backend& backend, const Measurement& measurement) {
  constexpr int kStoreRows[] = {1, 16, 64, 512}, kStoreHeads[] = {4, 32};
  std::vector<AttentionBench> benches;
  for (const int head_dim : kHeadDims) benches.emplace_back(backend, head_dim);
  std::vector<double> tasks, attention, rotation;
  double done = 0;
  for (const int rows : kQueryRows) {
    tasks.push_back(rows * kKvHeads);
    for (const int context : kContexts) {
      measurement.progress("attention", done++ / (std::size(kQueryRows) * std::size(kContexts)));
      measurement.communicator.barrier();
      for (const int group : kGroups) {
        for (AttentionBench& bench : benches) {
          attention.push_back(bench.attention_seconds(rows, context, group));
        }
      }
    }
  }
  for (const int rows : kStoreRows) {
    measurement.communicator.barrier();
    for (const int heads : kStoreHeads) {
      for (AttentionBench& bench : benches) {
        rotation.push_back(bench.rotate_seconds(rows, heads));
      }
    }
  }
  const int ranks = measurement.communicator.size();
  return {{.operation = "attention",
           .ranks = ranks,
           .grid = Grid({{"tasks", tasks},
                         {"context", doubles(kContexts)},
                         {"group", doubles(kGroups)},
                         {"head_dim", doubles(kHeadDims)}},
                        attention),
           .source = measurement.source},
          {.operation = "rotate_store",
           .ranks = ranks,
           .grid = Grid({{"rows", doubles(kStoreRows)},
                         {"heads", doubles(kStoreHeads)},
                         {"head_dim", doubles(kHeadDims)}},
                        rotation),
           .source = measurement.source}};
}

}  // namespace octet
