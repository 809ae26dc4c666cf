// QuantizedRows: a product's inputs in int8, as its tiles read them. A row's digits do not depend
// on the rows beside it. How its high digits are multiplied does: outliers lie in the same few
// columns of most rows, and a tile multiplies by these columns for all of its rows at once, by
// zeros where a row has no outlier; what is left is multiplied by row by row.
//
// One thread, but for the pool's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/backend.h"
#include "kernels/cpu/kernel_table.h"
#include "kernels/cpu/linear_layout.h"
#include "kernels/cpu/row_tiles.h"
#include "kernels/cpu/thread_pool.h"
#include "kernels/tensor.h"

namespace octet::cpu {

// What there is to be room for.
struct DigitsRoom {
  void add(const LinearLayout& product);

  bool in_pairs;         // does int8_tile multiply pairs of digits within 16 bits?
  int64_t max_rows = 0;  // of a product
  int64_t widest = 0;    // LinearLayout::row_stride()
  int64_t shards = 1;    // of a product
  bool mixed = false;    // has any product two digits?
};

class QuantizedRows {
 public:
  explicit QuantizedRows(const DigitsRoom& room);
  static size_t bytes(const DigitsRoom& room);  // what it takes

  // The inputs of a product: start(), then take() of each shard of each row once, different ones by
  // any threads at once, then list(), which changes digits in place and returns how many values
  // are outliers. take(): x is the whole row, [columns] fp32. Limits: see Backend::linear, infinity
  // for kW8A8. REQUIRES: `layout` lives as long as these rows are read; `rows` and `tiles` are of
  // all rows of start().
  void start(const LinearLayout& layout, int64_t rows);
  void take(const KernelTable& kernels, int64_t row, int64_t shard, const float* x, float threshold,
            float ratio);
  int64_t list(const KernelTable& kernels, ThreadPool& pool, int64_t rows, const RowTiles& tiles);

  // A row that was taken, for other QuantizedRows of a like product to take. REQUIRES: one shard.
  static size_t taken_bytes(const LinearLayout& layout);
  void copy_taken(int64_t row, std::byte* to) const;
  void take_copy(int64_t row, const std::byte* from);

  // A shard of one of the tiles.
  TileRows tile(const RowTiles::Rows& rows, int64_t shard) const;

  // A row as integers, to be multiplied by scale(): take(k, integer) for each column k in order.
  // REQUIRES: one shard, mixed.
  float scale(int64_t row) const { return rows_[row].scale; }
  template <typename Take>
  void for_integers(int64_t row, int64_t columns, const Take& take) const;

 private:
  // Of a tile's shard: outliers, and the lists' lengths.
  struct Counts {
    int32_t outliers = 0;
    int32_t rest = 0, unshared = 0, shared = 0;
    bool shared_small = true;
  };
  using Shard = WeightBlocks::Shard;

  // Calls take(list, size) for each of the lists below.
  template <typename Take>
  static void for_lists(const DigitsRoom& room, const Take& take);
  Tensor allocate() const;
  const std::vector<Shard>& shards() const { return layout_->blocks.shards(); }
  int64_t slice(int64_t row, int64_t shard) const { return row * std::ssize(shards()) + shard; }
  // Of a row's digits in all rows'.
  int64_t place(int64_t row, int64_t shard) const {
    return row * layout_->row_stride() + shards()[shard].place;
  }
  // Of a tile's list in all tiles': it has the room of the tile's rows.
  int64_t list_place(const RowTiles::Rows& rows, int64_t shard) const {
    return (rows.begin * layout_->row_stride() + rows.count * shards()[shard].place) / kGroup;
  }
  void take_rest(const KernelTable& kernels, const RowTiles::Rows& rows, int64_t shard);
  // Finds out which groups are shared, brings their digits together, and lists the others'.
  void gather_outliers(const KernelTable& kernels, const RowTiles::Rows& rows, int64_t shard);

  DigitsRoom room_;
  Tensor low_, high_;                         // kI8
  std::vector<uint8_t> outlier_groups_;       // RowDigits', [max_rows, widest / kGroup]
  std::vector<uint16_t> shared_groups_;       // the same, by a tile's first row
  std::vector<ListedGroup> rest_, unshared_;  // the same, at list_place()
  std::vector<RowTiles::Rows> tiles_;         // [max_rows] of which tile a row is
  std::vector<QuantizedRow> rows_;            // [max_rows, most shards]
  std::vector<Counts> counts_;                // the same, by a tile's first row
  const LinearLayout* layout_ = nullptr;      // of the last product
};

// One row's digits of a list, which has its groups in order; 0 where it has none.
class ListedDigits {
 public:
  ListedDigits(const GroupList& list, int row)
      : next_(list.groups), end_(list.groups + list.count), row_(row) {}
  int at(int64_t k) {  // REQUIRES: k = 0, 1, ...
    while (next_ != end_ && (next_->row != row_ || next_->group < k / kGroup)) ++next_;
    return next_ != end_ && next_->group == k / kGroup ? next_->digits[k % kGroup] : 0;
  }

 private:
  const ListedGroup *next_, *end_;
  int row_;
};

template <typename Take>
void QuantizedRows::for_integers(int64_t row, int64_t columns, const Take& take) const {
  const RowTiles::Rows& rows = tiles_[row];
  const TileRows own = tile(rows, 0);
  const auto r = static_cast<int>(row - rows.begin);
  const int8_t* low = own.low + r * own.digit_stride;
  const int8_t* shared = own.high + r * own.digit_stride;
  ListedDigits rest(own.rest, r), unshared(own.unshared, r);
  for (int64_t k = 0, next = 0; k < columns; ++k) {  // next: of the shared groups
    int high = unshared.at(k);
    if (next < own.shared_count && own.shared_groups[next] == k / kGroup) {
      high = shared[next * kGroup + k % kGroup];
      if (k % kGroup == kGroup - 1) ++next;
    }
    take(k, low[k] + rest.at(k) + kHighDigit * high);
  }
}

}  // namespace octet::cpu
