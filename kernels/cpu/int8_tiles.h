// From exact int32 sums to leaves, and these into the tree. Included only by the files that fill a
// KernelTable, after vec16.h, inside their own unnamed namespace.

// Of row r and block b: the products of the high digits with the stored weights.
inline void store_high(const Int8Tile& tile, int r, int b, Ints16 sums) {
  const QuantizedRow& row = tile.x[r * tile.x_stride];
  const Vec16 scale = mul(all(254.0f), mul(all(row.scale), load(tile.scales + b * kBlock)));
  store(tile.high + (r * kMaxBlocks + b) * kBlock, mul(to_float(sums, 128 * row.high_sum), scale));
}

// The products of the low digits. REQUIRES: store_high() before, where the row has high digits.
inline void store_leaf(const Int8Tile& tile, int r, int b, Ints16 sums) {
  const QuantizedRow& row = tile.x[r * tile.x_stride];
  const int at = (r * kMaxBlocks + b) * kBlock;
  const Vec16 scale = mul(all(row.scale), load(tile.scales + b * kBlock));
  Vec16 sum = mul(to_float(sums, 128 * row.low_sum), scale);
  if (row.high.count > 0) sum = add(sum, load(tile.high + at));
  for (int i = tile.leaf.waiting - 1; i >= 0; --i) {
    sum = add(load(tile.leaf.to + i * tile.leaf.stride + at), sum);
  }
  store(tile.leaf.to + at, sum);
}
