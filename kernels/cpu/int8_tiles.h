// From exact int32 sums to leaves. Included only by the files that fill a KernelTable, after
// vec16.h, inside their own unnamed namespace, and after
//   int8_sums(tile, sums): sums[r][b] = the products of the low digits with the stored weights;
//   int8_high_sums(tile, row, sums): sums[b] = those of one row's high digits.

inline void int8_tile(const Int8Tile& tile) {
  alignas(64) int32_t low[kMaxRows][kMaxBlocks][kBlock];
  int8_sums(tile, low[0][0]);
  for (int r = 0; r < tile.rows; ++r) {
    const QuantizedRow& row = tile.x[r * tile.x_stride];
    float* leaf = tile.leaf + r * kMaxBlocks * kBlock;
    for (int b = 0; b < tile.blocks; ++b) {
      const Vec16 scale = mul(all(row.scale), load(tile.scales + b * kBlock));
      store(leaf + b * kBlock, mul(from_int32(low[r][b], 128 * row.low_sum), scale));
    }
    if (row.num_groups == 0) continue;
    alignas(64) int32_t high[kMaxBlocks][kBlock];
    int8_high_sums(tile, row, high[0]);
    for (int b = 0; b < tile.blocks; ++b) {
      const Vec16 scale = mul(all(row.scale), load(tile.scales + b * kBlock));
      const Vec16 product = mul(from_int32(high[b], 128 * row.high_sum), mul(all(254.0f), scale));
      store(leaf + b * kBlock, add(load(leaf + b * kBlock), product));
    }
  }
}
