// WeightBlocks: where a weight [out, in] lies as products on the CPU read it, and how it is put
// there: blocks of kBlock outputs; in a block shard after shard, and of each shard, group of
// columns after group, kBlock outputs side by side. A group is kGroup columns of int8, stored as w
// + 128, or one column of any other type. Artefacts hold weights like this too (docs/artefact.md).
// A value.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "kernels/tensor.h"

namespace octet {

class WeightBlocks {
 public:
  static constexpr int kBlock = 16;  // outputs of a block
  static constexpr int kGroup = 4;   // columns that one int8 instruction takes

  struct Shard {
    int64_t begin, end;  // columns of the weight
    int64_t place;       // of its first column in a block of padded_columns()
    int64_t padded;      // a multiple of the group
  };

  // cuts: of the columns into shards, from 0 to `in`, may repeat. grouped: int8 for integer
  // products; other int8 weights lie column by column.
  WeightBlocks(DType dtype, bool grouped, std::span<const int64_t> cuts);

  const std::vector<Shard>& shards() const { return shards_; }
  int64_t padded_columns() const { return padded_columns_; }
  int64_t block_bytes() const { return kBlock * padded_columns_ * element_; }
  static int64_t count(int64_t rows) { return (rows + kBlock - 1) / kBlock; }

  // Writes one block of block_bytes(). rows: each [in], null for padding. REQUIRES: `to` and rows
  // are aligned to the type, but for kI8.
  void lay_out(const std::array<const std::byte*, kBlock>& rows, std::byte* to) const;

 private:
  bool grouped_;
  int64_t element_;  // bytes of a column
  int64_t padded_columns_ = 0;
  std::vector<Shard> shards_;
};

// Rows of a weight that lie in blocks already, in memory of another: of a mapped file. REQUIRES:
// stride >= block_bytes() of their columns.
struct BlockRows {
  std::shared_ptr<const std::byte> first;  // the first block
  int64_t stride = 0;                      // bytes from block to block
  int64_t rows = 0;                        // of the weight; the last block may be padded
};

}  // namespace octet
