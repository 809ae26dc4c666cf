// From exact int32 sums to leaves. Included only by the files that fill a KernelTable, after
// vec16.h, inside their own unnamed namespace.

// Of row r and block b: the products of the low digits with the stored weights.
inline void store_leaf(const Int8Tile& tile, int r, int b, Ints16 sums) {
  const QuantizedRow& row = tile.x[r * tile.x_stride];
  const Vec16 scale = mul(all(row.scale), load(tile.scales + b * kBlock));
  store(tile.leaf + (r * kMaxBlocks + b) * kBlock, mul(to_float(sums, 128 * row.low_sum), scale));
}

// The products of the high digits are added to what store_leaf has stored.
inline void add_high(const Int8Tile& tile, int r, int b, Ints16 sums) {
  const QuantizedRow& row = tile.x[r * tile.x_stride];
  float* leaf = tile.leaf + (r * kMaxBlocks + b) * kBlock;
  const Vec16 scale = mul(all(254.0f), mul(all(row.scale), load(tile.scales + b * kBlock)));
  store(leaf, add(load(leaf), mul(to_float(sums, 128 * row.high_sum), scale)));
}
