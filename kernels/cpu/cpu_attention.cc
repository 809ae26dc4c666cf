#include "kernels/cpu/cpu_attention.h"

#include <algorithm>
#include <array>

#include "kernels/check.h"
#include "kernels/cpu/host_memory.h"

namespace octet::cpu {
namespace {

// So that the last tasks leave no thread without work for long.
constexpr int64_t kTasksOfThread = 4;

// Room for splits, 8 MiB, pages of which are taken as they are used: 16 K rows of them at 128
// elements, say 32 tiles of 4 rows over 32 K positions.
constexpr int64_t kSplitFloats = 2 << 20;

// Heads that threads have scratch for; larger ones take more when they are first seen.
constexpr int64_t kMostElements = 256;

int64_t padded_head(int64_t d) { return (d + kBlock - 1) / kBlock * kBlock; }

// Floats of a thread's scratch for heads of d elements: AttentionTile's scores, totals and parts,
// then digits.
int64_t floats_before_digits(const KernelTable& kernels, int64_t d) {
  return kScoreRows * kScoreStride + 2 * kernels.attention_scratch_rows * padded_head(d);
}
int64_t floats_of_thread(const KernelTable& kernels, int64_t d) {
  constexpr int64_t kLine = 16;
  const int64_t floats = floats_before_digits(kernels, d) + (kernels.attention_digits(d) + 1) / 2;
  return (floats + kLine - 1) / kLine * kLine;
}

}  // namespace

// What all tasks of a call share, and the tiles of its runs: a tile is a run's tokens times the
// query heads of one KV head, or some of them where these are many.
class CpuAttention::Call {
 public:
  Call(const KernelTable& kernels, const AttentionArgs& args)
      : kernels_(kernels),
        args_(args),
        d_(args.head_dim),
        padded_(padded_head(d_)),
        tiles_of_head_((args.heads.group + kernels.attention_rows - 1) / kernels.attention_rows),
        block_size_(args.cache.k.dim(2)),
        head_stride_(block_size_ * d_) {}

  const AttentionArgs& args() const { return args_; }
  int tokens_of_run() const { return std::max(1, kernels_.attention_rows / args_.heads.group); }
  int64_t tiles_of_run() const { return int64_t{args_.heads.num_kv()} * tiles_of_head_; }
  int64_t heads_of_tile() const {
    return (args_.heads.group + tiles_of_head_ - 1) / tiles_of_head_;
  }
  int64_t padded() const { return padded_; }
  // A row's part and its sum.
  int64_t floats_of_row() const { return padded_ + int64_t{sizeof(AttentionSum) / sizeof(float)}; }
  int64_t scratch() const { return floats_of_thread(kernels_, d_); }
  int first_seen(int position) const {
    return args_.sliding_window > 0 ? std::max(0, position - args_.sliding_window + 1) : 0;
  }

  // The run's tile `number`, its rows in `rows`. `sums`: room for all of them.
  AttentionTile tile(const Run& run, int64_t number, std::span<AttentionRow> rows, float* scratch,
                     AttentionSum* sums) const {
    const HeadRange& heads = args_.heads;
    const int64_t kv = number / tiles_of_head_, slice = number % tiles_of_head_;
    const int group = (heads.kv_begin + static_cast<int>(kv)) * heads.group;
    const auto head_at = [&](int64_t at) {  // this rank may have only some of a group
      const int head = group + static_cast<int>(heads.group * at / tiles_of_head_);
      return std::clamp(head, heads.q_begin, heads.q_end) - heads.q_begin;
    };
    const int first_head = head_at(slice), end_head = head_at(slice + 1);
    const int64_t num_q = heads.num_q(), width = (num_q + 2 * heads.num_kv()) * d_;
    int count = 0;
    for (int32_t token = run.begin; token < run.end; ++token) {
      const int position = run.position + token - run.begin;
      for (int head = first_head; head < end_head; ++head) {
        rows[count++] = {
            .q = args_.qkv.data<float>() + token * width + head * d_,
            .out = args_.out.data<float>() + (token * num_q + head) * d_,
            .position = position,
            .first = first_seen(position),
            .slope = args_.alibi_slopes.empty() ? 0.0f : args_.alibi_slopes.data<float>()[head]};
      }
    }
    float* const totals = scratch + kScoreRows * kScoreStride;
    const KVCacheView& cache = args_.cache;
    const int64_t at = kv * head_stride_ * static_cast<int64_t>(dtype_size(cache.k.dtype()));
    const auto scales_of = [&](const Tensor& scales) {
      return scales.empty() ? nullptr : scales.data<float>() + kv * block_size_;
    };
    return {.rows = rows.data(),
            .num_rows = count,
            .d = static_cast<int>(d_),
            .padded = static_cast<int>(padded_),
            .k = cache.k.raw_data() + at,
            .v = cache.v.raw_data() + at,
            .k_scales = scales_of(cache.k_scales),
            .v_scales = scales_of(cache.v_scales),
            .format = cache_format(cache),
            .block_stride = heads.num_kv() * head_stride_,
            .scale_stride = heads.num_kv() * block_size_,
            .block_size = static_cast<int>(block_size_),
            .table = args_.block_tables.data<int32_t>() + run.sequence * args_.block_tables.dim(1),
            .scale = args_.scale,
            .scores = scratch,
            .totals = totals,
            .digits = reinterpret_cast<uint16_t*>(scratch + floats_before_digits(kernels_, d_)),
            .parts = totals + kernels_.attention_scratch_rows * padded_,
            .sums = sums};
  }

 private:
  const KernelTable& kernels_;
  const AttentionArgs& args_;
  int64_t d_, padded_, tiles_of_head_, block_size_, head_stride_;
};

CacheFormat cache_format(const KVCacheView& cache) {
  switch (cache.k.dtype()) {
    case DType::kF32:
      return CacheFormat::kF32;
    case DType::kI8:
      return CacheFormat::kI8;
    default:
      OCTET_CHECK(cache.k.dtype() == DType::kBF16, "dtype {}", dtype_name(cache.k.dtype()));
      const bool even = cache.k.dim(2) % 2 == 0 && cache.k.dim(3) % 2 == 0;
      return even ? CacheFormat::kBF16Pairs : CacheFormat::kBF16;
  }
}

CpuAttention::CpuAttention(const KernelTable& kernels, int threads)
    : scratch_(allocate_host(DType::kF32, {threads * floats_of_thread(kernels, kMostElements)})),
      splits_(allocate_host(DType::kF32, {kSplitFloats})) {}

void CpuAttention::plan(const Call& call) {
  const AttentionArgs& args = call.args();
  const int32_t* cu = args.cu_seqlens.data<int32_t>();
  const int tokens = call.tokens_of_run();
  runs_.clear();
  tasks_ = rows_ = 0;
  for (int32_t s = 0; s < args.context_lens.numel(); ++s) {
    const int first = args.context_lens.data<int32_t>()[s] - (cu[s + 1] - cu[s]);
    for (int32_t begin = cu[s]; begin < cu[s + 1]; begin += tokens) {
      const int32_t end = std::min(cu[s + 1], begin + tokens);
      const int position = first + begin - cu[s], last = position + end - begin - 1;
      const int first_split = call.first_seen(position) / kSplit;
      const int splits = last / kSplit + 1 - first_split;
      runs_.push_back({s, begin, end, position, first_split, splits, tasks_, rows_});
      tasks_ += call.tiles_of_run() * splits;
      rows_ += call.tiles_of_run() * splits * (end - begin) * call.heads_of_tile();
    }
  }
}

void CpuAttention::apply(const KernelTable& kernels, ThreadPool& pool, const AttentionArgs& args) {
  if (args.out.dim(0) == 0 || args.heads.num_q() == 0) return;
  const Call call(kernels, args);
  plan(call);
  const int64_t scratch = call.scratch();
  if (scratch_.numel() < scratch * pool.size()) {
    scratch_ = Tensor::host(DType::kF32, {scratch * pool.size()});
  }
  const int64_t tiles = call.tiles_of_run(), tasks = std::ssize(runs_) * tiles;
  if (pool.size() > 1 && tasks < kTasksOfThread * pool.size() && tasks < tasks_ &&
      rows_ * call.floats_of_row() <= splits_.numel()) {
    return run_splits(kernels, pool, call);
  }
  // Late tokens see the most; they go first, so that what is left to take from another thread is
  // short.
  pool.run(tasks, [&](int thread, int64_t task) {
    std::array<AttentionRow, kMaxAttentionRows> rows;
    std::array<AttentionSum, kMaxAttentionRows> sums;
    kernels.attention_tile(call.tile(runs_[std::ssize(runs_) - 1 - task / tiles], task % tiles,
                                     rows, scratch_.data<float>() + thread * scratch, sums.data()));
  });
}

void CpuAttention::run_splits(const KernelTable& kernels, ThreadPool& pool, const Call& call) {
  const int64_t tiles = call.tiles_of_run(), scratch = call.scratch();
  auto* const sums = reinterpret_cast<AttentionSum*>(splits_.data<float>() + rows_ * call.padded());

  // Calls body(tile), parts and sums being those of its first split.
  const auto with_tile = [&](const Run& run, int64_t number, int thread, const auto& body) {
    std::array<AttentionRow, kMaxAttentionRows> rows;
    const int64_t rows_of_split = (run.end - run.begin) * call.heads_of_tile();
    const int64_t first = run.first_row + number * run.splits * rows_of_split;
    AttentionTile tile =
        call.tile(run, number, rows, scratch_.data<float>() + thread * scratch, sums + first);
    tile.parts = splits_.data<float>() + first * call.padded();
    body(tile);
  };
  pool.run(tasks_, [&](int thread, int64_t task) {
    const Run& run = *std::prev(std::ranges::upper_bound(runs_, task, {}, &Run::first_task));
    const int64_t number = (task - run.first_task) / run.splits;
    const int split = static_cast<int>((task - run.first_task) % run.splits);
    with_tile(run, number, thread, [&](AttentionTile& tile) {
      tile.parts += split * tile.num_rows * call.padded();
      tile.sums += split * tile.num_rows;
      kernels.attention_split(tile, (run.first_split + split) * kSplit);
    });
  });
  pool.run(std::ssize(runs_) * tiles, [&](int thread, int64_t task) {
    const Run& run = runs_[task / tiles];
    with_tile(run, task % tiles, thread,
              [&](const AttentionTile& tile) { kernels.attention_join(tile, run.splits); });
  });
}

}  // namespace octet::cpu
