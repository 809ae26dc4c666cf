#include "kernels/cpu/int8_sketch.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace octet::cpu {
namespace {

constexpr int64_t kTaskBlocks = 128;
// For each row one block in so many may be read; rows do not share what they read.
constexpr int64_t kReadPart = 4;
constexpr int kMostPause = 15;
// Few more outliers than in other products, and half as many blocks to be read as by 6.
constexpr float kRatio = 3;

// What rounding can add to a logit of either product, in parts of (|x| + |f|) (|s q| + |e|), is
// less: of the head's chain, `columns` roundings of 2^-24; of the copy's scales, sums and two
// digits, some 13; of its weights, the bounds and what is done with them, some 7. All of it twice.
float slack(int64_t columns) { return static_cast<float>(columns + 64) * 0x1p-23f; }

// The root of a sum of squares of so many values, not less than it is: fp32 loses at most 2^-149 of
// each, and what it rounds is in slack().
float norm_of(double squares, int64_t columns) {
  const double sum = squares + static_cast<double>(columns) * 0x1p-149;
  const double norm = std::sqrt(sum) * (1 + double{slack(columns)});
  return std::isfinite(norm) ? static_cast<float>(norm) : std::numeric_limits<float>::infinity();
}

// Multiplies by the head those of blocks [begin, end) in which the row's largest logit may be.
// left: how many more may be multiplied; less than 0 ends it.
void refine(const CpuLinear& head, const KernelTable& kernels, const SketchScan& scan,
            const float* x, int64_t begin, int64_t end, std::atomic<int64_t>& left) {
  for (int64_t block = begin; block < end && left >= 0;) {
    std::array<int64_t, kMaxBlocks> found;
    size_t count = 0;
    while (count < found.size() && (block = kernels.sketch_next(scan, block, end)) < end) {
      found[count++] = block++;
    }
    left -= static_cast<int64_t>(count);
    head.apply_blocks(kernels, x, std::span(found).first(count), scan.logits);
  }
}

}  // namespace

Int8Sketch::Int8Sketch(const LinearShape& shape) : product_(shape, kRatio) {
  const auto blocks = static_cast<size_t>(WeightBlocks::count(shape.rows));
  sizes_.resize(blocks);
  errors_.resize(blocks);
}

void Int8Sketch::fill_block(const CpuLinear& head, const KernelTable& kernels, int64_t block) {
  const int64_t columns = head.in_features();
  alignas(64) std::array<float, kBlock> squares, errors;
  kernels.sketch_block({.weights = head.block(block),
                        .format = head.format(),
                        .columns = columns,
                        .digits = product_.block_memory(block),
                        .scales = product_.block_scales(block),
                        .squares = squares.data(),
                        .errors = errors.data()});
  for (int o = 0; o < kBlock; ++o) {
    sizes_[block] = std::max(sizes_[block], norm_of(squares[o], columns));
    errors_[block] = std::max(errors_[block], norm_of(errors[o], columns));
  }
}

SketchScan Int8Sketch::scan_of(const KernelTable& kernels, const QuantizedRows& rows, int64_t row,
                               std::span<const float> x, std::span<float> logits) const {
  double squares = 0, errors = 0;
  const double scale{rows.scale(row)};
  const auto columns = std::ssize(x);
  rows.for_integers(row, columns, [&](int64_t k, int integer) {
    const double value = x[k], lost = value - scale * integer;
    squares += value * value;
    errors += lost * lost;
  });
  float norm = norm_of(squares, columns);
  const float error = norm_of(errors, columns), rounding = slack(columns) * (norm + error);
  constexpr float kMost = 1e37f;  // no sum of the head's chain, and no product of scales, overflows
  if (!((norm + error) * largest_ < kMost)) norm = std::numeric_limits<float>::infinity();
  SketchScan scan{.logits = logits.data(),
                  .outputs = std::ssize(logits),
                  .sizes = sizes_.data(),
                  .errors = errors_.data(),
                  .norm = norm + rounding,
                  .error = error + rounding,
                  .floor = 0};
  scan.floor = kernels.sketch_floor(scan);
  return scan;
}

bool Int8Sketch::apply(const CpuLinear& head, const KernelTable& kernels, ThreadPool& pool,
                       LinearScratch& scratch, const Tensor& x, const Tensor& out) {
  if (pause_ > 0) {
    --pause_;
    return false;
  }
  const int64_t rows = x.dim(0), columns = x.dim(1), outputs = head.out_features();
  const int64_t blocks = std::ssize(sizes_);
  if (rows == 0 || outputs == 0) return true;
  if (!filled_) {
    pool.run(blocks, [&](int, int64_t block) { fill_block(head, kernels, block); });
    for (int64_t block = 0; block < blocks; ++block) {
      largest_ = std::max(largest_, sizes_[block] + errors_[block]);
    }
    filled_ = true;
  }
  product_.apply(kernels, pool, scratch, x, out);
  const auto x_of = [&](int64_t row) {
    return x.span<const float>().subspan(row * columns, columns);
  };
  pool.run(rows, [&](int, int64_t row) {
    scratch.scans[row] = scan_of(kernels, scratch.rows, row, x_of(row),
                                 out.span<float>().subspan(row * outputs, outputs));
  });
  std::atomic<int64_t> left = (rows * blocks + kReadPart - 1) / kReadPart;
  const int64_t tasks = (blocks + kTaskBlocks - 1) / kTaskBlocks;
  pool.run(rows * tasks, [&](int, int64_t task) {
    const int64_t row = task / tasks, begin = task % tasks * kTaskBlocks;
    const int64_t end = std::min(blocks, begin + kTaskBlocks);
    refine(head, kernels, scratch.scans[row], x_of(row).data(), begin, end, left);
  });
  const bool found = left >= 0;
  last_pause_ = found ? 0 : std::min(2 * last_pause_ + 1, kMostPause);
  pause_ = last_pause_;
  return found;
}

}  // namespace octet::cpu
