// From exact int32 sums to leaves, and these into the tree. Included only by the files that fill a
// KernelTable, after vec16.h, inside their own unnamed namespace.

inline const QuantizedRow& row_of(const Int8Tile& tile, int r) {
  return tile.x.rows[r * tile.x.stride];
}

inline bool has_high(const Int8Tile& tile) {
  return tile.x.shared_count > 0 || tile.x.unshared.count > 0;
}

// Of row r and block b, the sums of the low digits' products with the stored weights. REQUIRES:
// tile.high has the high digits', where the row has outliers.
inline void store_leaf(const Int8Tile& tile, int r, int b, Ints16 sums) {
  const QuantizedRow& row = row_of(tile, r);
  const int at = (r * kMaxBlocks + b) * kBlock;
  const Vec16 scale = mul(all(row.scale), load(tile.scales + b * kBlock));
  Vec16 sum = mul(to_float(sums, 128 * row.low_sum), scale);
  if (row.outliers > 0) {
    const Vec16 high = to_float(load_ints(tile.high + at), 128 * row.high_sum);
    sum = add(sum, mul(high, mul(all(254.0f), scale)));
  }
  for (int i = tile.leaf.waiting - 1; i >= 0; --i) {
    sum = add(load(tile.leaf.to + i * tile.leaf.stride + at), sum);
  }
  store(tile.leaf.to + at, sum);
}
