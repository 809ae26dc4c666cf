#include "kernels/cpu/cpu_linear.h"

#include <algorithm>
#include <array>
#include <limits>

#include "kernels/check.h"
#include "kernels/cpu/host_memory.h"

namespace octet::cpu {
namespace {

constexpr int kLine = kMaxBlocks * kBlock;  // floats of a tile's row
constexpr int64_t kAhead = 1024;            // bytes that weights are fetched ahead of their use
constexpr int64_t kMostForOne = 128 << 10;  // bytes of a column that a lone tile, which is short,
                                            // fetches the whole next one of
constexpr int64_t kMostOfRows = 1280
                                << 10;  // of a band of rows, so that L2 holds it and two columns

// Rows of each tile but the last one, at most `most`, so that a band of `rows` has tiles as equal
// as can be: during a short one the weights that it fetches do not arrive.
int64_t rows_of_tiles(int64_t rows, int64_t most, int64_t step) {
  const int64_t tiles = (rows + most - 1) / most, even = (rows + tiles - 1) / tiles;
  return (even + step - 1) / step * step;
}

// During tile `part` of the `parts` that a column is multiplied by. The next column is `next` bytes
// behind this one, 0: there is none.
WeightFetch fetch_during(int part, int parts, int64_t column_bytes, int64_t next) {
  if (next == 0 || (parts == 1 && column_bytes > kMostForOne)) return {.ahead = kAhead};
  return {.ahead = next, .part = part, .parts = parts};
}

}  // namespace

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
    roots_.push_back({root.begin - weight.shards.begin, root.size(),
                      fold_order(weight.num_shards, root, leaves)});
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
}

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

// A block's rows are read side by side and its memory is written once, in order.
void CpuLinear::pack(const LinearWeight& weight, ThreadPool& pool) {
  const int64_t block_bytes = layout_.blocks.block_bytes();
  packed_ = allocate_host(DType::kU8, {layout_.num_blocks, block_bytes});
  for (int64_t block = 0; block < layout_.num_blocks; ++block) {
    blocks_.push_back(packed_.data<uint8_t>() + block * block_bytes);
  }
  const int64_t row_bytes = in_features_ * static_cast<int64_t>(dtype_size(dtype_));
  pool.run(layout_.num_blocks, [&](int, int64_t block) {
    std::array<const std::byte*, kBlock> rows;
    for (int lane = 0; lane < kBlock; ++lane) {
      const int64_t source = source_row(block * kBlock + lane);
      rows[lane] = source < 0 ? nullptr : weight.weight.raw_data() + source * row_bytes;
    }
    layout_.blocks.lay_out(rows, packed_.raw_data() + block * block_bytes);
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

void CpuLinear::quantize_rows(const KernelTable& kernels, ThreadPool& pool, LinearScratch& scratch,
                              const Tensor& x) const {
  const int64_t n = x.dim(0);
  constexpr float kNone = std::numeric_limits<float>::infinity();
  const float threshold = mixed() ? outlier_threshold_ : kNone;
  const float ratio = mixed() ? kOutlierRatio : kNone;
  const auto quantize = [&](int64_t row, int index) {  // returns how many outliers there are
    const Shard& shard = shards()[index];
    const int64_t place = row * row_stride() + shard.place;
    QuantizedRow& quantized = scratch.rows[row * num_shards() + index];
    quantized.low = scratch.low.data<int8_t>() + place;
    if (mixed()) {
      quantized.high = scratch.high.data<int8_t>() + place;
      quantized.groups = scratch.groups.data() + place / kGroup;
    }
    kernels.quantize(x.data<float>() + row * in_features_ + shard.begin, shard.end - shard.begin,
                     shard.padded, threshold, ratio, &quantized);
    return quantized.outliers;
  };
  // Several rows a task: its outliers are counted together. Few rows are not worth waking anybody.
  const int64_t tasks = n * row_stride() < 16384 ? 1 : std::min<int64_t>(n, 4 * pool.size());
  pool.run(tasks, [&](int, int64_t task) {
    uint64_t outliers = 0;
    for (int64_t row = n * task / tasks; row < n * (task + 1) / tasks; ++row) {
      for (int index = 0; index < num_shards(); ++index) outliers += quantize(row, index);
    }
    if (outliers > 0) outliers_ += outliers;
  });
}

void CpuLinear::apply(const KernelTable& kernels, ThreadPool& pool, LinearScratch& scratch,
                      const Tensor& x, const Tensor& out) const {
  const int64_t n = x.dim(0);
  OCTET_CHECK(x.dim(1) == in_features_ && out.numel() == num_roots_ * n * out_features_ &&
                  (!quantized() || n <= scratch.max_rows),
              "x {}, out {}, {} roots, room for {} rows", x.shape().to_string(),
              out.shape().to_string(), num_roots_, scratch.max_rows);
  if (n == 0 || out_features_ == 0) return;
  if (quantized()) quantize_rows(kernels, pool, scratch, x);
  // A task is a column of blocks, which stays in the cache while a band of rows goes through it. A
  // thread's columns follow each other: all tiles of this one fetch their parts of the next one.
  const int64_t blocks = layout_.num_blocks, columns = (blocks + kMaxBlocks - 1) / kMaxBlocks;
  const int64_t bands = (n + kernels.band_rows - 1) / kernels.band_rows;
  const int64_t band = std::min<int64_t>(n, kernels.band_rows);
  const int64_t rows_of_tile = quantized()
                                   ? rows_of_tiles(band, kernels.int8_rows, kernels.row_step)
                                   : rows_of_tiles(band, kFloatTileRows, 1);
  const int64_t column_bytes = kMaxBlocks * layout_.blocks.block_bytes();
  const bool rows_stay = kernels.rows_stay && quantized() && band * row_stride() <= kMostOfRows;
  pool.run(columns * bands, [&](int, int64_t task) {
    const int64_t block = (rows_stay ? task % columns : task / bands) * kMaxBlocks;
    const int64_t first_row = (rows_stay ? task / columns : task % bands) * kernels.band_rows;
    const int64_t end = std::min(n, first_row + kernels.band_rows);
    const bool has_next = block + 2 * kMaxBlocks <= blocks;
    const int64_t next = has_next ? blocks_[block + kMaxBlocks] - blocks_[block] : 0;
    const int64_t before = rows_stay ? first_row : 0, behind = rows_stay ? end : n;
    const int parts = static_cast<int>((behind - before + rows_of_tile - 1) / rows_of_tile);
    for (int64_t row = first_row; row < end; row += rows_of_tile) {
      const int part = static_cast<int>((row - before) / rows_of_tile);
      tile(kernels, scratch, x,
           {.row = row,
            .rows = static_cast<int>(std::min(rows_of_tile, end - row)),
            .block = block,
            .blocks = static_cast<int>(std::min<int64_t>(kMaxBlocks, blocks - block)),
            .fetch = fetch_during(part, parts, column_bytes, next)},
           out);
    }
  });
}

void CpuLinear::tile(const KernelTable& kernels, const LinearScratch& scratch, const Tensor& x,
                     const Place& place, const Tensor& out) const {
  alignas(64) float slots[kMaxShards * kMaxInt8TileRows * kLine];
  const int64_t n = x.dim(0), slot = place.rows * kLine;
  for (size_t r = 0; r < roots_.size(); ++r) {
    const Root& root = roots_[r];
    leaves(kernels, scratch, x, place, root, slots);
    for (const TreeAdd& add : root.adds) {
      float* to = slots + add.target * slot;
      const float* from = slots + add.source * slot;
      for (int64_t i = 0; i < slot; ++i) to[i] += from[i];
    }
    finish(kernels, slots, place, out.data<float>() + static_cast<int64_t>(r) * n * out_features_);
  }
}

void CpuLinear::leaves(const KernelTable& kernels, const LinearScratch& scratch, const Tensor& x,
                       const Place& place, const Root& root, float* slots) const {
  const auto [row, rows, block, blocks, fetch] = place;
  for (int i = 0; i < root.num_leaves; ++i) {
    const int index = root.first_leaf + i;
    const Shard& shard = shards()[index];
    float* leaf = slots + i * rows * kLine;
    if (quantized()) {
      const Int8Tile tile{.x = scratch.rows.data() + row * num_shards() + index,
                          .x_stride = num_shards(),
                          .row_stride = row_stride(),
                          .weights = blocks_.data() + block,
                          .begin = shard.place * kBlock,
                          .scales = scales_.data<float>() + block * kBlock,
                          .rows = rows,
                          .blocks = blocks,
                          .groups = shard.padded / kGroup,
                          .fetch = fetch,
                          .leaf = leaf};
      kernels.int8_low(tile);
      if (mixed()) kernels.int8_high(tile);
      continue;
    }
    kernels.float_tile({.x = x.data<float>() + row * in_features_ + shard.begin,
                        .x_stride = in_features_,
                        .weights = blocks_.data() + block,
                        .begin = shard.place * kBlock * static_cast<int64_t>(dtype_size(dtype_)),
                        .format = format_of(dtype_),
                        .rows = rows,
                        .blocks = blocks,
                        .k = shard.padded,
                        .fetch = fetch,
                        .sums = leaf});
    if (scales_.empty()) continue;
    const float* scales = scales_.data<float>() + block * kBlock;
    for (int r = 0; r < rows; ++r) {
      float* to = leaf + r * kLine;
      for (int o = 0; o < blocks * kBlock; ++o) to[o] *= scales[o];
    }
  }
}

// Bias, activation, and the outputs that are not padding.
void CpuLinear::finish(const KernelTable& kernels, float* sums, const Place& place,
                       float* out) const {
  const auto [row, rows, block, blocks, fetch] = place;
  const int64_t first = gated() ? block / 2 * kBlock : block * kBlock;
  const int64_t count =
      std::min<int64_t>(gated() ? blocks / 2 * kBlock : blocks * kBlock, out_features_ - first);
  for (int r = 0; r < rows; ++r) {
    float* line = sums + r * kLine;
    if (!bias_.empty()) {
      const float* bias = bias_.data<float>() + block * kBlock;
      for (int o = 0; o < blocks * kBlock; ++o) line[o] += bias[o];
    }
    switch (activation_) {
      case Activation::kNone:
        break;
      case Activation::kRelu:
        for (int o = 0; o < blocks * kBlock; ++o) line[o] = std::max(line[o], 0.0f);
        break;
      case Activation::kGelu:
        kernels.gelu(line, blocks * kBlock);
        break;
      case Activation::kGeluTanh:
        kernels.gelu_tanh(line, blocks * kBlock);
        break;
      case Activation::kSiluGate:
        for (int pair = 0; pair < blocks / 2; ++pair) {
          float* gate = line + 2 * pair * kBlock;
          kernels.silu_gate(gate, gate + kBlock, kBlock);
          if (pair > 0) std::copy_n(gate, kBlock, line + pair * kBlock);
        }
        break;
    }
    std::copy_n(line, count, out + (row + r) * out_features_ + first);
  }
}

}  // namespace octet::cpu
