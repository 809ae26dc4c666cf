#include "kernels/cpu/int8_sketch.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <limits>

namespace octet::cpu {
namespace {

constexpr int64_t kTaskBlocks = 128;
constexpr int64_t kMostBlocks = 16;  // of a head, one in so many is read
constexpr int kRest = 63;
constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Of a sum of so many rounded products: the relative error, and as much again for what is done
// with it.
float slack(int64_t columns) { return static_cast<float>(columns + 64) * 0x1p-23f; }

// The root of a sum of squares of so many values, not less than it is.
float norm_of(double squares, int64_t columns) {
  const double norm = std::sqrt(squares) * (1 + double{slack(columns)});
  return std::isfinite(norm) ? static_cast<float>(norm) : kInfinity;
}

float largest(const float* line, int64_t count) {
  float top = -kInfinity;
  for (int64_t i = 0; i < count; ++i) top = line[i] > top ? line[i] : top;
  return top;
}

// Most lines are whole blocks.
float largest_of_block(const float* line, int64_t count) {
  return count >= kBlock ? largest(line, kBlock) : largest(line, count);
}

}  // namespace

Int8Sketch::Int8Sketch(const LinearShape& shape) : product_(shape) {
  const auto blocks = static_cast<size_t>(WeightBlocks::count(shape.rows));
  sizes_.resize(blocks);
  errors_.resize(blocks);
}

// The lanes of the loops are the block's outputs.
void Int8Sketch::fill_block(const CpuLinear& head, int64_t block) {
  const int64_t columns = head.in_features();
  thread_local std::vector<float> weights;     // [columns, kBlock]
  thread_local std::vector<std::byte> digits;  // [kBlock, columns]
  weights.resize(columns * kBlock);
  digits.resize(columns * kBlock);
  head.unpack_block(block, weights.data());
  std::array<float, kBlock> most{}, scales, inverses, squares{}, errors{};
  for (int64_t k = 0; k < columns; ++k) {
    for (int o = 0; o < kBlock; ++o) {
      const float size = std::fabs(weights[k * kBlock + o]);
      most[o] = size > most[o] ? size : most[o];
    }
  }
  for (int o = 0; o < kBlock; ++o) {
    scales[o] = most[o] / 127.0f;
    inverses[o] = most[o] >= kLeast ? 127.0f / most[o] : 0.0f;
  }
  for (int64_t k = 0; k < columns; ++k) {
    std::array<float, kBlock> rounded;
    for (int o = 0; o < kBlock; ++o) {
      const float weight = weights[k * kBlock + o];
      float q = std::nearbyint(weight * inverses[o]);
      q = q < 127.0f ? q : 127.0f;  // what is not a number too
      rounded[o] = q > -127.0f ? q : -127.0f;
      const float kept = rounded[o] * scales[o], lost = weight - kept;
      squares[o] += kept * kept;
      errors[o] += lost * lost;
    }
    for (int o = 0; o < kBlock; ++o) {
      digits[o * columns + k] = static_cast<std::byte>(static_cast<int8_t>(rounded[o]));
    }
  }
  std::array<const std::byte*, kBlock> rows;
  for (int o = 0; o < kBlock; ++o) {
    rows[o] = digits.data() + o * columns;
    sizes_[block] = std::max(sizes_[block], norm_of(squares[o], columns));
    errors_[block] = std::max(errors_[block], norm_of(errors[o], columns));
  }
  product_.set_block(block, rows, scales.data());
}

void Int8Sketch::fill(const CpuLinear& head, ThreadPool& pool) {
  pool.run(std::ssize(sizes_), [&](int, int64_t block) { fill_block(head, block); });
  filled_ = true;
}

float Int8Sketch::bound(const SketchRow& row, int64_t block) const {
  return row.error * sizes_[block] + row.norm * errors_[block];
}

// What the row's bounds follow from, and the largest of its lower ones.
void Int8Sketch::measure(const LinearScratch& scratch, const Tensor& x, const Tensor& out,
                         int64_t row, SketchRow& of_row) const {
  const int64_t columns = x.dim(1), outputs = out.dim(1);
  const QuantizedRow& quantized = scratch.rows[row];
  const float* values = x.data<float>() + row * columns;
  double squares = 0, errors = 0;
  int32_t next = 0;
  const int8_t* high = nullptr;  // of this group
  for (int64_t k = 0; k < columns; ++k) {
    if (k % kGroup == 0) {
      const bool has = next < quantized.num_groups && quantized.groups[next] * kGroup == k;
      high = has ? quantized.high + kGroup * next++ : nullptr;
    }
    const int digits = quantized.low[k] + (high == nullptr ? 0 : kHighDigit * high[k % kGroup]);
    const double value = values[k], lost = value - double{quantized.scale} * digits;
    squares += value * value;
    errors += lost * lost;
  }
  const float norm = norm_of(squares, columns), error = norm_of(errors, columns);
  const float rounding = slack(columns) * (norm + error);
  of_row = {.norm = norm + rounding, .error = error + rounding, .floor = -kInfinity};
  const float* line = out.data<float>() + row * outputs;
  for (int64_t block = 0; block < std::ssize(sizes_); ++block) {
    const int64_t first = block * kBlock;
    const float least = largest_of_block(line + first, outputs - first) - bound(of_row, block);
    if (least > of_row.floor) of_row.floor = least;
  }
}

bool Int8Sketch::apply(const CpuLinear& head, const KernelTable& kernels, ThreadPool& pool,
                       LinearScratch& scratch, const Tensor& x, const Tensor& out) {
  if (rest_ > 0) {
    --rest_;
    return false;
  }
  if (!filled_) fill(head, pool);
  product_.apply(kernels, pool, scratch, x, out);
  const int64_t rows = x.dim(0), outputs = head.out_features(), blocks = std::ssize(sizes_);
  const Tensor logits = out.reshape({rows, outputs});
  pool.run(rows,
           [&](int, int64_t row) { measure(scratch, x, logits, row, scratch.sketch_rows[row]); });
  std::atomic<int64_t> left = (rows * blocks + kMostBlocks - 1) / kMostBlocks;
  const int64_t tasks = (blocks + kTaskBlocks - 1) / kTaskBlocks;
  pool.run(rows * tasks, [&](int, int64_t task) {
    const int64_t row = task / tasks, begin = task % tasks * kTaskBlocks;
    const SketchRow& of_row = scratch.sketch_rows[row];
    float* line = logits.data<float>() + row * outputs;
    for (int64_t block = begin; block < std::min(blocks, begin + kTaskBlocks); ++block) {
      const int64_t first = block * kBlock, count = std::min<int64_t>(kBlock, outputs - first);
      if (largest_of_block(line + first, count) + bound(of_row, block) < of_row.floor) {
        std::fill_n(line + first, count, -kInfinity);
      } else if (left.fetch_sub(1, std::memory_order_relaxed) > 0) {
        head.apply_block(kernels, scratch, x, row, block, out);
      } else {
        return;
      }
    }
  });
  if (left >= 0) return true;
  rest_ = kRest;
  return false;
}

}  // namespace octet::cpu
