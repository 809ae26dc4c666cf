// RowTiles: how the rows of a product are cut into tiles. Bands of a number of rows go through a
// column of weights one after the other; a band's tiles are as equal as can be, because during a
// short one the weights that it fetches do not arrive.
#pragma once

#include <algorithm>
#include <cstdint>

namespace octet::cpu {

class RowTiles {
 public:
  struct Rows {
    int64_t begin;
    int count;
  };

  // Tiles of up to `most` rows, all but a band's last a multiple of `step`.
  RowTiles(int64_t rows, int64_t band_rows, int64_t most, int64_t step)
      : rows_(rows), band_rows_(band_rows), most_(most), step_(step) {}

  int64_t bands() const { return (rows_ + band_rows_ - 1) / band_rows_; }
  int64_t rows_of(int64_t band) const { return std::min(rows_ - band * band_rows_, band_rows_); }
  int64_t tiles_of(int64_t band) const { return (rows_of(band) + most_ - 1) / most_; }
  Rows at(int64_t band, int64_t tile) const {
    const int64_t begin = begin_of(band, tile);
    return {band * band_rows_ + begin, static_cast<int>(begin_of(band, tile + 1) - begin)};
  }

  // Of all bands, one after the other.
  int64_t count() const { return (bands() - 1) * tiles_of(0) + tiles_of(bands() - 1); }
  Rows at(int64_t tile) const { return at(tile / tiles_of(0), tile % tiles_of(0)); }

 private:
  int64_t begin_of(int64_t band, int64_t tile) const {
    const int64_t even = rows_of(band) * tile / tiles_of(band);
    return std::min(rows_of(band), (even + step_ - 1) / step_ * step_);
  }

  int64_t rows_, band_rows_, most_, step_;
};

}  // namespace octet::cpu
