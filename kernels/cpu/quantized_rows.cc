#include "kernels/cpu/quantized_rows.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <span>
#include <type_traits>

#include "kernels/check.h"
#include "kernels/cpu/host_memory.h"

namespace octet::cpu {
namespace {

// Digits of max_rows rows, each product's by its own row_stride(), and behind them what may be
// read: rows up to kMaxInt8TileRows and, because a tile's rows are not all beyond, columns.
Shape digits_shape(const DigitsRoom& room) {
  return {room.max_rows + kMaxInt8TileRows, room.widest};
}

// Calls found(g, sharing) for each group in which so many of the rows have outliers, in order.
// has: RowDigits::outlier_groups of each row.
template <typename Found>
void for_outlier_groups(std::span<const uint8_t* const> has, int64_t groups, const Found& found) {
  constexpr int64_t kStep = sizeof(uint64_t);
  static_assert(kMaxInt8TileRows < 256);
  const auto look_at = [&](int64_t begin, auto bytes) {
    uint64_t sharing = 0;  // a byte for each group
    for (const uint8_t* row : has) {
      uint64_t flags = 0;
      std::memcpy(&flags, row + begin, bytes);
      sharing += flags;
    }
    for (int64_t g = begin; sharing != 0; ++g, sharing >>= 8) {
      if ((sharing & 0xff) != 0) found(g, static_cast<int>(sharing & 0xff));
    }
  };
  int64_t g = 0;
  for (; g + kStep <= groups; g += kStep) look_at(g, std::integral_constant<size_t, kStep>());
  if (g < groups) look_at(g, static_cast<size_t>(groups - g));
}

}  // namespace

void DigitsRoom::add(const LinearLayout& product) {
  widest = std::max(widest, product.row_stride());
  shards = std::max(shards, std::ssize(product.blocks.shards()));
  mixed = mixed || product.mixed;
}

Tensor QuantizedRows::allocate() const {
  const Tensor digits = allocate_host(DType::kI8, digits_shape(room_));
  std::fill_n(digits.raw_data(), digits.bytes(), std::byte{});  // pages are taken here
  return digits;
}

template <typename Take>
void QuantizedRows::for_lists(const DigitsRoom& room, const Take& take) {
  const auto rows = static_cast<size_t>(room.max_rows);
  const size_t slices = rows * static_cast<size_t>(room.shards);
  const size_t groups = rows * static_cast<size_t>(room.widest) / kGroup;
  const size_t of_high = room.mixed ? groups : 0;
  take(&QuantizedRows::tiles_, rows);
  take(&QuantizedRows::rows_, slices);
  take(&QuantizedRows::counts_, slices);
  take(&QuantizedRows::rest_, room.in_pairs ? groups : 0);
  take(&QuantizedRows::outlier_groups_, of_high);
  take(&QuantizedRows::shared_groups_, of_high);
  take(&QuantizedRows::unshared_, of_high);
}

QuantizedRows::QuantizedRows(const DigitsRoom& room) : room_(room) {
  low_ = allocate();
  if (room.mixed) high_ = allocate();
  for_lists(room, [this](auto list, size_t size) { (this->*list).resize(size); });
}

size_t QuantizedRows::bytes(const DigitsRoom& room) {
  const size_t digits = allocated_bytes(static_cast<size_t>(digits_shape(room).numel()));
  size_t bytes = room.mixed ? 2 * digits : digits;
  for_lists(room, [&]<typename T>(std::vector<T> QuantizedRows::*, size_t size) {
    bytes += size * sizeof(T);
  });
  return bytes;
}

void QuantizedRows::start(const LinearLayout& layout, int64_t rows) {
  OCTET_CHECK(rows <= room_.max_rows && layout.row_stride() <= room_.widest,
              "{} rows of {}, room for {} of {}", rows, layout.row_stride(), room_.max_rows,
              room_.widest);
  layout_ = &layout;
}

void QuantizedRows::take(const KernelTable& kernels, int64_t row, int64_t shard, const float* x,
                         float threshold, float ratio) {
  const auto [begin, end, _, padded] = shards()[shard];
  const int64_t at = place(row, shard);
  RowDigits digits{.low = low_.data<int8_t>() + at, .high = nullptr, .outlier_groups = nullptr};
  if (layout_->mixed) {
    digits.high = high_.data<int8_t>() + at;
    digits.outlier_groups = outlier_groups_.data() + at / kGroup;
  }
  kernels.quantize(x + begin, end - begin, padded, threshold, ratio, digits,
                   &rows_[slice(row, shard)]);
}

// QuantizedRow, low digits, and of mixed rows outlier groups and high digits, which are read where
// there are outliers.
size_t QuantizedRows::taken_bytes(const LinearLayout& layout) {
  const auto digits = static_cast<size_t>(layout.blocks.shards()[0].padded);
  return sizeof(QuantizedRow) + digits + (layout.mixed ? digits / kGroup + digits : 0);
}

void QuantizedRows::copy_taken(int64_t row, std::byte* to) const {
  OCTET_CHECK(std::ssize(shards()) == 1, "{} shards", shards().size());
  const auto digits = static_cast<size_t>(shards()[0].padded);
  const int64_t at = place(row, 0);
  const auto copy = [&to](const void* from, size_t bytes) {
    std::memcpy(to, from, bytes);
    to += bytes;
  };
  copy(&rows_[row], sizeof(QuantizedRow));
  copy(low_.data<int8_t>() + at, digits);
  if (!layout_->mixed || rows_[row].outliers == 0) return;
  copy(outlier_groups_.data() + at / kGroup, digits / kGroup);
  copy(high_.data<int8_t>() + at, digits);
}

void QuantizedRows::take_copy(int64_t row, const std::byte* from) {
  OCTET_CHECK(std::ssize(shards()) == 1, "{} shards", shards().size());
  const auto digits = static_cast<size_t>(shards()[0].padded);
  const int64_t at = place(row, 0);
  const auto take = [&from](void* to, size_t bytes) {
    std::memcpy(to, from, bytes);
    from += bytes;
  };
  take(&rows_[row], sizeof(QuantizedRow));
  take(low_.data<int8_t>() + at, digits);
  if (!layout_->mixed) return;
  uint8_t* groups = outlier_groups_.data() + at / kGroup;
  if (rows_[row].outliers == 0) {
    std::fill_n(groups, digits / kGroup, uint8_t{0});
    return;
  }
  take(groups, digits / kGroup);
  take(high_.data<int8_t>() + at, digits);
}

int64_t QuantizedRows::list(const KernelTable& kernels, ThreadPool& pool, int64_t rows,
                            const RowTiles& tiles) {
  if (!room_.in_pairs && !layout_->mixed) return 0;
  const int64_t num_shards = std::ssize(shards());
  pool.for_each(tiles.count() * num_shards, rows * layout_->row_stride(), [&](int64_t i) {
    const RowTiles::Rows tile = tiles.at(i / num_shards);
    const int64_t shard = i % num_shards;
    counts_[slice(tile.begin, shard)] = {};
    if (shard == 0) std::fill_n(tiles_.begin() + tile.begin, tile.count, tile);
    if (room_.in_pairs) take_rest(kernels, tile, shard);
    if (layout_->mixed) gather_outliers(kernels, tile, shard);
  });
  int64_t outliers = 0;
  for (int64_t tile = 0; tile < tiles.count(); ++tile) {
    const int64_t first = slice(tiles.at(tile).begin, 0);
    for (int64_t s = 0; s < num_shards; ++s) outliers += counts_[first + s].outliers;
  }
  return outliers;
}

void QuantizedRows::take_rest(const KernelTable& kernels, const RowTiles::Rows& rows,
                              int64_t shard) {
  ListedGroup* rest = rest_.data() + list_place(rows, shard);
  int64_t count = 0;
  for (int r = 0; r < rows.count; ++r) {
    int8_t* low = low_.data<int8_t>() + place(rows.begin + r, shard);
    count += kernels.take_rest(low, shards()[shard].padded, static_cast<uint16_t>(r), rest + count);
  }
  counts_[slice(rows.begin, shard)].rest = static_cast<int32_t>(count);
}

void QuantizedRows::gather_outliers(const KernelTable& kernels, const RowTiles::Rows& rows,
                                    int64_t shard) {
  const int64_t first = place(rows.begin, shard), stride = layout_->row_stride();
  std::array<int8_t*, kMaxInt8TileRows> high;
  std::array<const uint8_t*, kMaxInt8TileRows> has;
  bool all_small = true;
  int32_t outliers = 0;
  for (int r = 0; r < rows.count; ++r) {
    const QuantizedRow& row = rows_[slice(rows.begin + r, shard)];
    outliers += row.outliers;
    all_small = all_small && row.high_small;
    high[r] = high_.data<int8_t>() + first + r * stride;
    has[r] = outlier_groups_.data() + (first + r * stride) / kGroup;
  }
  if (outliers == 0) return;
  uint16_t* shared = shared_groups_.data() + first / kGroup;
  ListedGroup* unshared = unshared_.data() + list_place(rows, shard);
  int num_shared = 0, num_unshared = 0;
  // From so many rows on one product for all of a tile's takes less time than one for each, which
  // reads and writes its sums in memory.
  const auto [wanted, step] = kernels.sharing(rows.count);
  const int least = std::min(wanted, (rows.count + 1) / 2);
  const std::span has_groups = std::span(has).first(static_cast<size_t>(rows.count));
  const int64_t groups = shards()[shard].padded / kGroup;
  int room = 0;  // of the last step, for others
  if (step > 1) {
    int certain = 0;
    for_outlier_groups(has_groups, groups,
                       [&](int64_t, int sharing) { certain += sharing >= least ? 1 : 0; });
    room = (step - certain % step) % step;
  }
  const auto found = [&](int64_t group, int sharing) {
    if (sharing >= least || (room_.in_pairs && !all_small) || room-- > 0) {
      shared[num_shared++] = static_cast<uint16_t>(group);
      return;
    }
    for (int r = 0; r < rows.count; ++r) {
      if (has[r][group] == 0) continue;
      ListedGroup& listed = unshared[num_unshared++];
      std::memcpy(listed.digits, high[r] + group * kGroup, kGroup);
      listed.group = static_cast<uint16_t>(group);
      listed.row = static_cast<uint16_t>(r);
    }
  };
  for_outlier_groups(has_groups, groups, found);
  // To the front, in order: i <= shared[i].
  for (int r = 0; r < rows.count; ++r) {
    for (int i = 0; i < num_shared; ++i) {
      uint32_t digits;
      std::memcpy(&digits, high[r] + shared[i] * kGroup, kGroup);
      digits &= -uint32_t{has[r][shared[i]]};
      std::memcpy(high[r] + i * kGroup, &digits, kGroup);
    }
  }
  Counts& counts = counts_[slice(rows.begin, shard)];
  counts.outliers = outliers;
  counts.shared = num_shared;
  counts.unshared = num_unshared;
  counts.shared_small = all_small;
}

TileRows QuantizedRows::tile(const RowTiles::Rows& rows, int64_t shard) const {
  const int64_t first = place(rows.begin, shard), list = list_place(rows, shard);
  const Counts& counts = counts_[slice(rows.begin, shard)];
  TileRows tile{};
  tile.rows = rows_.data() + slice(rows.begin, shard);
  tile.stride = std::ssize(shards());
  tile.low = low_.data<int8_t>() + first;
  tile.digit_stride = layout_->row_stride();
  if (room_.in_pairs) tile.rest = {rest_.data() + list, counts.rest};
  if (layout_->mixed) {
    tile.high = high_.data<int8_t>() + first;
    tile.shared_groups = shared_groups_.data() + first / kGroup;
    tile.shared_count = counts.shared;
    tile.shared_small = counts.shared_small;
    tile.unshared = {unshared_.data() + list, counts.unshared};
  }
  return tile;
}

}  // namespace octet::cpu
