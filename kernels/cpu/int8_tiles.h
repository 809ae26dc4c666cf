// From exact int32 sums to leaves, and these into the tree. Included only by the files that fill a
// KernelTable, after vec16.h, inside their own unnamed namespace.

inline Sharing sharing(int) { return {.least = 3, .step = 1}; }

inline bool has_high(const Int8Tile& tile) {
  return tile.x.shared_count > 0 || tile.x.unshared.count > 0;
}

// The leaves of kBlocks blocks from `first` on. store(r, low): of row r, whose low digits' products
// with the stored weights sum up to `low`. REQUIRES: tile.high has the high digits', where the row
// has outliers, and lives as long as these.
template <int kBlocks>
class Leaves {
 public:
  Leaves(const Int8Tile& tile, int first)
      : rows_(tile.x.rows),
        stride_(tile.x.stride),
        high_(tile.high + first * kBlock),
        place_(tile.leaf),
        left_(place_.waiting_sums + place_.waiting * place_.stride + first * kBlock),
        to_(place_.to + first * kBlock) {
#pragma GCC unroll 4
    for (int b = 0; b < kBlocks; ++b) scales_[b] = load(tile.scales + (first + b) * kBlock);
  }

  void store(int r, const Ints16 (&low)[kBlocks]) const {
    const QuantizedRow& row = rows_[r * stride_];
    const int at = r * kMaxBlocks * kBlock;
    Vec16 sums[kBlocks];
#pragma GCC unroll 4
    for (int b = 0; b < kBlocks; ++b) {
      sums[b] = mul(to_float(low[b], 128 * row.low_sum), mul(all(row.scale), scales_[b]));
    }
    if (row.outliers > 0) {
#pragma GCC unroll 4
      for (int b = 0; b < kBlocks; ++b) {
        const Vec16 high = to_float(load_ints(high_ + at + b * kBlock), 128 * row.high_sum);
        sums[b] = add(sums[b], mul(high, mul(all(254.0f), mul(all(row.scale), scales_[b]))));
      }
    }
    const float* left = left_ + at;
    for (int i = 0; i < place_.waiting; ++i) {
      left -= place_.stride;
#pragma GCC unroll 4
      for (int b = 0; b < kBlocks; ++b) sums[b] = add(load(left + b * kBlock), sums[b]);
    }
    float* to = to_ + r * place_.row_stride;
#pragma GCC unroll 4
    for (int b = 0; b < kBlocks; ++b) {
      if (place_.past_caches) {
        store_past_caches(to + b * kBlock, sums[b]);
      } else {
        write(to + b * kBlock, sums[b], kBlock);
      }
    }
  }

 private:
  const QuantizedRow* rows_;
  int64_t stride_;
  const int32_t* high_;
  const LeafPlace& place_;
  const float* left_;
  float* to_;
  Vec16 scales_[kBlocks];
};
