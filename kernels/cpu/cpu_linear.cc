#include "kernels/cpu/cpu_linear.h"

#include <immintrin.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <limits>
#include <new>
#include <numeric>
#include <utility>

#include "kernels/check.h"
#include "kernels/cpu/host_memory.h"
#include "kernels/cpu/int8_sketch.h"
#include "kernels/cpu/row_tiles.h"

namespace octet::cpu {
namespace {

constexpr int kLine = kMaxBlocks * kBlock;                     // floats of a tile's row
constexpr int kMostSums = kMaxInt8TileRows * kLine;            // of a tile
constexpr int kMostWaiting = std::bit_width(kMaxShards - 1u);  // subtrees left of a leaf
constexpr size_t kCacheLine = 64;
constexpr int64_t kAhead = 1024;  // bytes that weights are fetched ahead of their use
// Bytes of a column, so that a lone tile, which is short, fetches the next one: of floats, or of
// int8 with AVX2.
constexpr int64_t kMostForOne = 128 << 10;

// During tile `part` of the `parts` that a column is multiplied by. The next column is `next` bytes
// behind this one, 0: there is none. Columns of more than `widest` bytes are not fetched ahead.
WeightFetch fetch_during(int64_t part, int64_t parts, int64_t column_bytes, int64_t next,
                         int64_t widest) {
  if (next == 0 || column_bytes > (parts == 1 ? kMostForOne : widest)) {
    return {.ahead = kAhead, .same_column = true, .in_cache = part > 0, .from_memory = part == 0};
  }
  return {.ahead = next,
          .part = static_cast<int>(part),
          .parts = static_cast<int>(parts),
          .from_memory = parts == 1};
}

// [leaves]: how many subtrees wait for each.
std::vector<int> waiting_for(const std::vector<TreeAdd>& adds, int leaves) {
  std::vector<int> waiting(leaves, 0), last(leaves);
  std::iota(last.begin(), last.end(), 0);
  for (const TreeAdd& add : adds) {
    ++waiting[last[add.source]];
    last[add.target] = last[add.source];
  }
  return waiting;
}

}  // namespace

// What a task's tiles need.
struct CpuLinear::TileRoom {
  struct Leaf {
    Int8Tile tile;
    FinishTile finish;
  };
  // Not the one before, which may be pending.
  Leaf& next_leaf() { return leaves[turn ^= 1]; }

  alignas(kCacheLine) float sums[kMostWaiting * kMostSums];
  alignas(kCacheLine) int32_t low[kMostSums], high[kMostSums];
  Leaf leaves[2];
  int turn = 0;
  Int8Pending pending;
};

FloatFormat format_of(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return FloatFormat::kF32;
    case DType::kBF16:
      return FloatFormat::kBF16;
    case DType::kF16:
      return FloatFormat::kF16;
    default:
      OCTET_CHECK(dtype == DType::kI8, "dtype {}", dtype_name(dtype));
      return FloatFormat::kI8;
  }
}

CpuLinear::CpuLinear(const LinearWeight& weight, ThreadPool& pool)
    : outlier_threshold_(weight.outlier_threshold),
      activation_(weight.activation),
      layout_(shape_of(weight)) {
  const LinearShape shape = shape_of(weight);
  dtype_ = shape.dtype;
  rows_ = shape.rows;
  in_features_ = shape.columns;
  out_features_ = gated() ? rows_ / 2 : rows_;
  for (const ShardRange root : subtree_roots(weight.num_shards, weight.shards)) {
    std::vector<ShardRange> leaves;
    for (int leaf = root.begin; leaf < root.end; ++leaf) leaves.push_back({leaf, leaf + 1});
    roots_.push_back({root.begin - weight.shards.begin,
                      waiting_for(fold_order(weight.num_shards, root, leaves), root.size())});
  }
  num_roots_ = static_cast<int>(roots_.size());
  OCTET_CHECK(weight.bias.empty() || (num_roots_ == 1 && weight.shards.size() == weight.num_shards),
              "a bias on {} of {} shards", weight.shards.size(), weight.num_shards);
  scales_ = pack_vector(weight.scales);
  bias_ = pack_vector(weight.bias);
  if (shape.in_file) {
    keep(weight.blocked);
  } else {
    pack(weight, pool);
  }
  bytes_ = layout_.bytes();
  if (const auto sketch = sketch_shape(shape)) sketch_ = std::make_unique<Int8Sketch>(*sketch);
}

CpuLinear::CpuLinear(const LinearShape& shape, float outlier_ratio)
    : dtype_(shape.dtype),
      outlier_threshold_(std::numeric_limits<float>::infinity()),
      outlier_ratio_(outlier_ratio),
      activation_(shape.activation),
      rows_(shape.rows),
      layout_(shape),
      roots_{{.first_leaf = 0, .waiting = {0}}} {
  in_features_ = shape.columns;
  out_features_ = shape.rows;
  scales_ = Tensor::host(DType::kF32, {layout_.padded_rows()});
  take_memory();
  bytes_ = layout_.bytes();
}

CpuLinear::~CpuLinear() = default;

int64_t CpuLinear::source_row(int64_t packed_row) const {
  if (!gated()) return packed_row < rows_ ? packed_row : -1;
  const int64_t block = packed_row / kBlock;
  const int64_t output = block / 2 * kBlock + packed_row % kBlock;
  if (output >= out_features_) return -1;
  return block % 2 == 0 ? output : out_features_ + output;
}

Tensor CpuLinear::pack_vector(const Tensor& vector) const {
  if (vector.empty()) return {};
  const Tensor packed = Tensor::host(DType::kF32, {layout_.padded_rows()});
  for (int64_t row = 0; row < packed.numel(); ++row) {
    const int64_t source = source_row(row);
    if (source >= 0) packed.data<float>()[row] = vector.data<float>()[source];
  }
  return packed;
}

void CpuLinear::take_memory() {
  const int64_t block_bytes = layout_.blocks.block_bytes();
  packed_ = allocate_host(DType::kU8, {layout_.num_blocks, block_bytes});
  for (int64_t block = 0; block < layout_.num_blocks; ++block) {
    blocks_.push_back(packed_.data<uint8_t>() + block * block_bytes);
  }
}

// A block's rows are read side by side and its memory is written once, in order.
void CpuLinear::pack(const LinearWeight& weight, ThreadPool& pool) {
  take_memory();
  const int64_t row_bytes = in_features_ * static_cast<int64_t>(dtype_size(dtype_));
  pool.run(layout_.num_blocks, [&](int, int64_t block) {
    std::array<const std::byte*, kBlock> rows;
    for (int lane = 0; lane < kBlock; ++lane) {
      const int64_t source = source_row(block * kBlock + lane);
      rows[lane] = source < 0 ? nullptr : weight.weight.raw_data() + source * row_bytes;
    }
    layout_.blocks.lay_out(rows, packed_.raw_data() + block * layout_.blocks.block_bytes());
  });
}

void CpuLinear::keep(const BlockedWeight& weight) {
  OCTET_CHECK(dtype_ != DType::kI8 || quantized(), "int8 weights in groups for float products");
  for (size_t i = 0; i < weight.runs.size(); ++i) {
    const BlockRows& run = weight.runs[i];
    const bool last = i + 1 == weight.runs.size();
    OCTET_CHECK(gated() ? weight.runs.size() == 2 && run.rows == out_features_
                        : last || run.rows % kBlock == 0,
                "run {} of {} has {} rows", i, weight.runs.size(), run.rows);
    files_.push_back(run.first);
  }
  const auto* runs = weight.runs.data();
  const auto add = [&](const BlockRows& run, int64_t block) {
    blocks_.push_back(reinterpret_cast<const uint8_t*>(run.first.get()) + block * run.stride);
  };
  if (gated()) {
    for (int64_t block = 0; block < layout_.num_blocks; ++block) add(runs[block % 2], block / 2);
    return;
  }
  for (const BlockRows& run : weight.runs) {
    for (int64_t block = 0; block < WeightBlocks::count(run.rows); ++block) add(run, block);
  }
  OCTET_CHECK(std::ssize(blocks_) == layout_.num_blocks, "{} blocks of {}", blocks_.size(),
              layout_.num_blocks);
}

void CpuLinear::unpack_row(int64_t row, float* out) const {
  OCTET_CHECK(dtype_ != DType::kI8 && !gated(), "dtype {}", dtype_name(dtype_));
  const uint8_t* block = blocks_[row / kBlock];
  for (int64_t k = 0; k < in_features_; ++k) {
    const int64_t at = k * kBlock + row % kBlock;
    const auto* halves = reinterpret_cast<const uint16_t*>(block);
    out[k] = dtype_ == DType::kF32    ? reinterpret_cast<const float*>(block)[at]
             : dtype_ == DType::kBF16 ? bf16_to_f32(halves[at])
                                      : f16_to_f32(halves[at]);
  }
}

void CpuLinear::start_rows(LinearScratch& scratch, const Tensor& x) const {
  OCTET_CHECK(x.dim(1) == in_features_, "x {}, {} inputs", x.shape().to_string(), in_features_);
  scratch.rows.start(layout_, x.dim(0));
  scratch.taken_for = this;
  scratch.taken = x;
}

void CpuLinear::take_slice(const KernelTable& kernels, LinearScratch& scratch, int64_t row,
                           int64_t shard, const float* x) const {
  constexpr float kNone = std::numeric_limits<float>::infinity();
  scratch.rows.take(kernels, row, shard, x, mixed() ? outlier_threshold_ : kNone,
                    mixed() ? outlier_ratio_ : kNone);
}

void CpuLinear::take_row(const KernelTable& kernels, LinearScratch& scratch, int64_t row,
                         const float* x) const {
  for (int64_t s = 0; s < std::ssize(shards()); ++s) take_slice(kernels, scratch, row, s, x);
}

size_t CpuLinear::ready_row_bytes() const {
  return quantized() ? QuantizedRows::taken_bytes(layout_)
                     : static_cast<size_t>(in_features_) * sizeof(float);
}

void CpuLinear::copy_ready_row(const LinearScratch& scratch, const Tensor& x, int64_t row,
                               std::byte* to) const {
  if (quantized()) {
    OCTET_CHECK(scratch.taken_for == this && scratch.taken.raw_data() == x.raw_data(),
                "row {} was taken for another product", row);
    return scratch.rows.copy_taken(row, to);
  }
  std::memcpy(to, x.data<float>() + row * in_features_, ready_row_bytes());
}

void CpuLinear::take_ready_row(LinearScratch& scratch, const Tensor& x, int64_t row,
                               const std::byte* from) const {
  if (quantized()) {
    OCTET_CHECK(scratch.taken_for == this && scratch.taken.raw_data() == x.raw_data(),
                "row {} was taken for another product", row);
    return scratch.rows.take_copy(row, from);
  }
  std::memcpy(x.data<float>() + row * in_features_, from, ready_row_bytes());
}

int64_t CpuLinear::band_rows(const KernelTable& kernels, int64_t rows) const {
  constexpr int64_t kLeast = 96;  // for which the weights are worth being fetched once more
  const int64_t most = (kernels.bytes_that_stay - 2 * column_bytes()) / layout_.row_stride();
  if (!quantized() || most >= kernels.band_rows || most < kLeast) return kernels.band_rows;
  const int64_t bands = (rows + most - 1) / most;  // as equal as can be
  const int64_t each = (rows + bands - 1) / bands;
  return bands == 1 || each >= kLeast ? each : kernels.band_rows;
}

void CpuLinear::apply(const KernelTable& kernels, ThreadPool& pool, LinearScratch& scratch,
                      const Tensor& x, const Tensor& out) const {
  const int64_t n = x.dim(0);
  OCTET_CHECK(x.dim(1) == in_features_ && out.numel() == num_roots_ * n * out_features_,
              "x {}, out {}, {} roots", x.shape().to_string(), out.shape().to_string(), num_roots_);
  const bool taken = std::exchange(scratch.taken_for, nullptr) == this;
  OCTET_CHECK(!taken || (scratch.taken.raw_data() == x.raw_data() && scratch.taken.dim(0) == n),
              "{} rows were taken, {} others are multiplied", scratch.taken.dim(0), n);
  if (n == 0 || out_features_ == 0) return;
  const int64_t blocks = layout_.num_blocks, columns = (blocks + kMaxBlocks - 1) / kMaxBlocks;
  const RowTiles tiles =
      quantized() ? RowTiles(n, band_rows(kernels, n), kernels.int8_rows, kernels.int8_row_step)
                  : RowTiles(n, kernels.band_rows, kFloatTileRows, 1);
  if (quantized()) {
    if (!taken) {
      const int64_t num_shards = std::ssize(shards());
      scratch.rows.start(layout_, n);
      pool.for_each(n * num_shards, n * layout_.row_stride(), [&](int64_t i) {
        const int64_t row = i / num_shards;
        take_slice(kernels, scratch, row, i % num_shards, x.data<float>() + row * in_features_);
      });
    }
    outliers_ += static_cast<uint64_t>(scratch.rows.list(kernels, pool, n, tiles));
  }
  // A task is a column of blocks, which stays in the cache while a band of rows goes through it. A
  // thread's columns follow each other, and the first band's tiles fetch the next one.
  const int64_t bands = tiles.bands();
  const bool rows_stay =
      quantized() &&
      tiles.rows_of(0) * layout_.row_stride() + 2 * column_bytes() <= kernels.bytes_that_stay;
  const bool past_caches = quantized() && out_features_ % kBlock == 0 &&
                           reinterpret_cast<uintptr_t>(out.raw_data()) % kCacheLine == 0 &&
                           static_cast<int64_t>(out.bytes()) >= kernels.outputs_that_stay;
  const int64_t widest = quantized() ? kernels.widest_fetched : kNoLimit;
  pool.run(columns * bands, [&](int, int64_t task) {
    const int64_t band = rows_stay ? task / columns : task % bands;
    const int64_t block = (rows_stay ? task % columns : task / bands) * kMaxBlocks;
    const bool has_next = block + 2 * kMaxBlocks <= blocks;
    const int64_t next = has_next ? blocks_[block + kMaxBlocks] - blocks_[block] : 0;
    const int64_t parts = tiles.tiles_of(band);
    const bool fetches_next = rows_stay || band == 0;
    TileRoom room;
    for (int64_t t = 0; t < parts; ++t) {
      const auto [row, rows] = tiles.at(band, t);
      tile(kernels, scratch, x,
           {.row = row,
            .rows = rows,
            .block = block,
            .blocks = static_cast<int>(std::min<int64_t>(kMaxBlocks, blocks - block)),
            .next = next,
            .fetch = fetches_next
                         ? fetch_during(t, parts, column_bytes(), next, widest)
                         : WeightFetch{.ahead = kAhead, .same_column = true, .in_cache = true}},
           past_caches, room, out);
    }
    if (room.pending.finish != nullptr) room.pending.finish(room.pending);
    if (past_caches) _mm_sfence();  // before anybody is told that they are there
  });
}

void CpuLinear::apply_top(const KernelTable& kernels, ThreadPool& pool, LinearScratch& scratch,
                          const Tensor& x, const Tensor& out) const {
  if (sketch_ != nullptr && sketch_->apply(*this, kernels, pool, scratch, x, out)) return;
  apply(kernels, pool, scratch, x, out);
}

void CpuLinear::apply_blocks(const KernelTable& kernels, const float* x,
                             std::span<const int64_t> blocks, float* out) const {
  OCTET_CHECK(blocks.size() <= kMaxBlocks, "{} blocks", blocks.size());
  if (blocks.empty()) return;
  std::array<const uint8_t*, kMaxBlocks> weights;
  for (size_t i = 0; i < blocks.size(); ++i) weights[i] = blocks_[blocks[i]];
  alignas(64) float sums[kLine];
  const WeightFetch fetch{.ahead = kAhead, .same_column = true};
  kernels.float_tile({.x = x,
                      .x_stride = in_features_,
                      .weights = weights.data(),
                      .begin = 0,
                      .format = format_of(dtype_),
                      .rows = 1,
                      .blocks = static_cast<int>(blocks.size()),
                      .k = in_features_,
                      .fetch = &fetch,
                      .sums = sums});
  for (size_t i = 0; i < blocks.size(); ++i) {
    const int64_t first = blocks[i] * kBlock;
    std::copy_n(sums + i * kBlock, std::min<int64_t>(kBlock, out_features_ - first), out + first);
  }
}

void CpuLinear::tile(const KernelTable& kernels, const LinearScratch& scratch, const Tensor& x,
                     const Place& place, bool past_caches, TileRoom& room,
                     const Tensor& out) const {
  const int64_t n = x.dim(0), stride = place.rows * kLine;
  const int64_t first = (gated() ? place.block / 2 : place.block) * kBlock;
  const int blocks = gated() ? place.blocks / 2 : place.blocks;
  const auto outputs = static_cast<int>(std::min<int64_t>(blocks * kBlock, out_features_ - first));
  // Are the tree's roots the outputs already?
  const bool finished =
      activation_ == Activation::kNone && bias_.empty() && outputs == blocks * kBlock;
  for (size_t r = 0; r < roots_.size(); ++r) {
    const Root& root = roots_[r];
    float* const to_out =
        out.data<float>() + (static_cast<int64_t>(r) * n + place.row) * out_features_ + first;
    const auto finish_of = [&] {
      return FinishTile{
          .sums = room.sums,
          .bias = bias_.empty() ? nullptr : bias_.data<float>() + place.block * kBlock,
          .activation = activation_,
          .rows = place.rows,
          .blocks = place.blocks,
          .out = to_out,
          .out_stride = out_features_,
          .outputs = outputs,
          .past_caches = past_caches};
    };
    float* to = room.sums;
    for (size_t i = 0; i < root.waiting.size(); ++i) {
      to -= root.waiting[i] * stride;
      const bool last = i + 1 == root.waiting.size(), is_out = last && finished;
      const auto place_of = [&] {
        return LeafPlace{.to = is_out ? to_out : to,
                         .row_stride = is_out ? out_features_ : kLine,
                         .past_caches = is_out && past_caches,
                         .waiting_sums = to,
                         .waiting = root.waiting[i],
                         .stride = stride};
      };
      const int shard = root.first_leaf + static_cast<int>(i);
      if (quantized()) {
        const auto [begin, end, at, padded] = shards()[shard];
        const bool next_column = shard + 1 == std::ssize(shards()) && place.next > 0;
        TileRoom::Leaf& leaf = room.next_leaf();
        // Where it is read: a copy would wait until all of its parts have left for the cache.
        ::new (&leaf) TileRoom::Leaf{
            .tile = {.x = scratch.rows.tile({place.row, place.rows}, shard),
                     .weights = blocks_.data() + place.block,
                     .begin = at * kBlock,
                     .next = next_column ? place.next - layout_.blocks.block_bytes() : 0,
                     .scales = scales_.data<float>() + place.block * kBlock,
                     .rows = place.rows,
                     .blocks = place.blocks,
                     .groups = padded / kGroup,
                     .fetch = &place.fetch,
                     .low = room.low,
                     .high = room.high,
                     .leaf = place_of(),
                     .finish = last && !finished ? &leaf.finish : nullptr},
            .finish = finish_of()};
        kernels.int8_tile(leaf.tile, room.pending);
      } else {
        float_leaf(kernels, x, place, shard, place_of());
        if (last && !finished) kernels.finish_tile(finish_of());
      }
      to += stride;
    }
  }
}

void CpuLinear::float_leaf(const KernelTable& kernels, const Tensor& x, const Place& place,
                           int shard, const LeafPlace& leaf) const {
  const auto& [row, rows, block, blocks, next, fetch] = place;
  const auto [begin, end, at, padded] = shards()[shard];
  alignas(64) float sums[kMostSums];
  kernels.float_tile({.x = x.data<float>() + row * in_features_ + begin,
                      .x_stride = in_features_,
                      .weights = blocks_.data() + block,
                      .begin = at * kBlock * static_cast<int64_t>(dtype_size(dtype_)),
                      .format = format_of(dtype_),
                      .rows = rows,
                      .blocks = blocks,
                      .k = padded,
                      .fetch = &fetch,
                      .sums = sums});
  const int outputs = blocks * kBlock;
  for (int r = 0; r < rows; ++r) {
    float* line = sums + r * kLine;
    float* to = leaf.to + r * leaf.row_stride;
    if (!scales_.empty()) {
      const float* scales = scales_.data<float>() + block * kBlock;
      for (int o = 0; o < outputs; ++o) line[o] *= scales[o];
    }
    for (int i = leaf.waiting - 1; i >= 0; --i) {
      const float* left = leaf.waiting_sums + i * leaf.stride + r * kLine;
      for (int o = 0; o < outputs; ++o) line[o] = left[o] + line[o];
    }
    std::copy_n(line, outputs, to);
  }
}

}  // namespace octet::cpu
