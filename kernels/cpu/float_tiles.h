// Products of float rows with float weights. Included only by the files that fill a KernelTable,
// after vec16.h, inside their own unnamed namespace. One accumulator for each row and block: a
// chain along K, the same at any tile size.

template <FloatFormat kFormat>
inline Vec16 load_weights(const char* p) {
  if constexpr (kFormat == FloatFormat::kF32) return load(reinterpret_cast<const float*>(p));
  if constexpr (kFormat == FloatFormat::kBF16)
    return load_bf16(reinterpret_cast<const uint16_t*>(p));
  if constexpr (kFormat == FloatFormat::kF16) return load_f16(reinterpret_cast<const uint16_t*>(p));
  if constexpr (kFormat == FloatFormat::kI8) return load_i8(reinterpret_cast<const int8_t*>(p));
}

template <FloatFormat kFormat, int kRows, int kBlocks>
inline void float_tile_of(const FloatTile& tile) {
  constexpr int64_t kBytes = kBlock * (kFormat == FloatFormat::kF32  ? 4
                                       : kFormat == FloatFormat::kI8 ? 1
                                                                     : 2);
  const char* weights = static_cast<const char*>(tile.weights);
  Vec16 sums[kRows][kBlocks];
  for (int r = 0; r < kRows; ++r) {
    for (int b = 0; b < kBlocks; ++b) sums[r][b] = zero();
  }
  for (int64_t k = 0; k < tile.k; ++k) {
    Vec16 w[kBlocks];
    for (int b = 0; b < kBlocks; ++b) {
      w[b] = load_weights<kFormat>(weights + b * tile.block_stride + k * kBytes);
    }
    for (int r = 0; r < kRows; ++r) {
      const Vec16 x = all(tile.x[r * tile.x_stride + k]);
      for (int b = 0; b < kBlocks; ++b) sums[r][b] = fma(x, w[b], sums[r][b]);
    }
  }
  for (int r = 0; r < kRows; ++r) {
    for (int b = 0; b < kBlocks; ++b) store(tile.sums + (r * kMaxBlocks + b) * kBlock, sums[r][b]);
  }
}

template <FloatFormat kFormat, int kRows>
inline void float_tile_of(const FloatTile& tile) {
  if (tile.blocks == 4) return float_tile_of<kFormat, kRows, 4>(tile);
  FloatTile one = tile;
  for (int b = 0; b < tile.blocks; ++b) {
    one.weights = static_cast<const char*>(tile.weights) + b * tile.block_stride;
    one.sums = tile.sums + b * kBlock;
    float_tile_of<kFormat, kRows, 1>(one);
  }
}

template <FloatFormat kFormat>
inline void float_tile_of(const FloatTile& tile) {
  FloatTile part = tile;
  for (int row = 0; row < tile.rows;) {
    part.x = tile.x + row * tile.x_stride;
    part.sums = tile.sums + row * kMaxBlocks * kBlock;
    if (tile.rows - row >= kFloatRows) {
      float_tile_of<kFormat, kFloatRows>(part);
      row += kFloatRows;
    } else {
      float_tile_of<kFormat, 1>(part);
      ++row;
    }
  }
}

inline void float_tile(const FloatTile& tile) {
  switch (tile.format) {
    case FloatFormat::kF32:
      return float_tile_of<FloatFormat::kF32>(tile);
    case FloatFormat::kBF16:
      return float_tile_of<FloatFormat::kBF16>(tile);
    case FloatFormat::kF16:
      return float_tile_of<FloatFormat::kF16>(tile);
    case FloatFormat::kI8:
      return float_tile_of<FloatFormat::kI8>(tile);
  }
}
