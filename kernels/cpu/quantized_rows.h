// QuantizedRows: a product's inputs in int8, as its tiles read them. A row's digits do not depend
// on the rows beside it. How its high digits are multiplied does: outliers lie in the same few
// columns of most rows, and a tile multiplies by these columns for all of its rows at once, by
// zeros where a row has no outlier; what is left is multiplied by row by row.
//
// One thread, but for the pool's.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/cpu/kernel_table.h"
#include "kernels/cpu/linear_layout.h"
#include "kernels/cpu/row_tiles.h"
#include "kernels/cpu/thread_pool.h"
#include "kernels/tensor.h"

namespace octet::cpu {

// What there is to be room for.
struct DigitsRoom {
  void add(const LinearLayout& product);

  bool listed;           // has the KernelTable take_rest()?
  int64_t max_rows = 0;  // of a product
  int64_t widest = 0;    // LinearLayout::row_stride()
  int64_t shards = 1;    // of a product
  bool mixed = false;    // has any product two digits?
};

class QuantizedRows {
 public:
  explicit QuantizedRows(const DigitsRoom& room);
  static size_t bytes(const DigitsRoom& room);

  int64_t max_rows() const { return room_.max_rows; }

  // Takes the inputs of a product, x: [rows, columns] fp32; returns how many values are outliers.
  // Limits: see Backend::linear, infinity for kW8A8. REQUIRES: room; `layout` lives as long as
  // these rows are read.
  uint64_t quantize(const KernelTable& kernels, ThreadPool& pool, const Tensor& x,
                    const LinearLayout& layout, const RowTiles& tiles, float threshold,
                    float ratio);

  // A shard of one of the tiles.
  TileRows tile(const RowTiles::Rows& rows, int64_t shard) const;

  // A row as integers, to be multiplied by scale(). REQUIRES: one shard, mixed.
  float scale(int64_t row) const { return rows_[row].scale; }
  void integers(int64_t row, std::span<int32_t> out) const;

 private:
  // Lists' lengths of a tile's shard.
  struct Counts {
    int32_t rest = 0, few_shared = 0, shared = 0;
    bool shared_small = true;
  };
  using Shard = WeightBlocks::Shard;

  Tensor allocate() const;
  const std::vector<Shard>& shards() const { return layout_->blocks.shards(); }
  int64_t slice(int64_t row, int64_t shard) const { return row * std::ssize(shards()) + shard; }
  // Of digits; of a tile's lists by its first row, which have its rows' room together.
  int64_t place(int64_t row, int64_t shard) const {
    return row * layout_->row_stride() + shards()[shard].place;
  }
  int64_t list_place(const RowTiles::Rows& rows, int64_t shard) const {
    return (rows.begin * layout_->row_stride() + rows.count * shards()[shard].place) / kGroup;
  }
  void take_rest(const KernelTable& kernels, const RowTiles::Rows& rows, int64_t shard);
  void gather_outliers(const RowTiles::Rows& rows, int64_t shard);

  DigitsRoom room_;
  Tensor low_, high_;                           // kI8
  std::vector<uint8_t> outlier_groups_;         // RowDigits', [max_rows, widest / kGroup]
  std::vector<uint16_t> shared_groups_;         // the same, by a tile's first row
  std::vector<ListedGroup> rest_, few_shared_;  // the same, at list_place()
  std::vector<QuantizedRow> rows_;              // [max_rows, most shards]
  std::vector<Counts> counts_;                  // the same, by a tile's first row
  const LinearLayout* layout_ = nullptr;        // of the last product
};

}  // namespace octet::cpu
