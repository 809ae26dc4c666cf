// LinearLayout: where a linear layer's weights lie once packed, from their shape alone: blocks of
// kBlock outputs, shards behind each other, both padded. CpuLinear packs by it, the ledger asks it
// for bytes.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/cpu/kernel_table.h"
#include "kernels/linear_shape.h"
#include "kernels/tensor.h"

namespace octet::cpu {

struct LinearLayout {
  struct Shard {
    int64_t begin, end;  // columns of the input
    int64_t place;       // of its first value in a block's row of padded_in
    int64_t padded;      // a multiple of kGroup for int8
  };

  explicit LinearLayout(const LinearShape& weight);

  size_t bytes() const { return bytes_; }  // packed weights, scales and bias, as allocated

  bool quantized;           // are inputs quantised;
  bool mixed;               // do they have high digits?
  int64_t padded_rows = 0;  // gate and up blocks alternate, each padded alone
  int64_t padded_in = 0;
  std::vector<Shard> shards;

 private:
  size_t bytes_ = 0;
};

// Low or high digits of up to max_rows rows, `widest` bytes each. Behind them lies what a tile may
// read in vain: rows up to kMaxInt8TileRows, and, because a tile's rows are not all beyond,
// columns.
inline Shape digits_shape(int64_t max_rows, int64_t widest) {
  return {max_rows + kMaxInt8TileRows, widest};
}

// Of LinearScratch for rows of these layers.
size_t linear_scratch_bytes(std::span<const LinearShape> weights, int64_t max_rows);

}  // namespace octet::cpu
