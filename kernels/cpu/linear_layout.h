// LinearLayout: how a linear layer's weights lie in blocks, from their shape alone. CpuLinear packs
// by it, the ledger asks it for bytes.
#pragma once

#include <cstdint>
#include <optional>

#include "kernels/cpu/kernel_table.h"
#include "kernels/linear_shape.h"
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

}  // namespace octet::cpu
