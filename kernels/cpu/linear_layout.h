// LinearLayout: how a linear layer's weights lie in blocks, from their shape alone. CpuLinear packs
// by it, the ledger asks it for bytes.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "kernels/cpu/kernel_table.h"
#include "kernels/linear_shape.h"
#include "kernels/tensor.h"
#include "kernels/weight_blocks.h"

namespace octet::cpu {

struct LinearLayout {
  explicit LinearLayout(const LinearShape& weight);

  int64_t padded_rows() const { return num_blocks * kBlock; }
  // Bytes from one quantised row to the next: an odd number of cache lines, so that the same
  // columns of a tile's rows do not share a set of the cache.
  int64_t row_stride() const {
    constexpr int64_t kCacheLine = 64;
    return ((blocks.padded_columns() + kCacheLine - 1) / kCacheLine | 1) * kCacheLine;
  }
  // Weights, scales and bias, as allocated or mapped; and a sketch's.
  size_t bytes() const { return bytes_; }

  bool quantized;  // are inputs quantised;
  bool mixed;      // do they have high digits?
  WeightBlocks blocks;
  int64_t num_blocks = 0;  // gate and up blocks alternate, each padded alone

 private:
  size_t bytes_ = 0;
};

// Of the Int8Sketch that a weight has, if any.
std::optional<LinearShape> sketch_shape(const LinearShape& weight);

// What its inputs are quantised for: the weight, or its sketch.
inline LinearLayout digits_layout(const LinearShape& weight) {
  return LinearLayout(sketch_shape(weight).value_or(weight));
}

// Low, high or other digits of up to max_rows rows, `widest` bytes each. Behind them lies what a
// tile may read in vain: rows up to kMaxInt8TileRows, and, because a tile's rows are not all
// beyond, columns.
inline Shape digits_shape(int64_t max_rows, int64_t widest) {
  return {max_rows + kMaxInt8TileRows, widest};
}

// Of LinearScratch for rows of these layers. has_rest: has the KernelTable take_rest()?
size_t linear_scratch_bytes(std::span<const LinearShape> weights, int64_t max_rows, bool has_rest);

}  // namespace octet::cpu
