// Products of float rows with float weights. Included only by the files that fill a KernelTable,
// after rows.h and fetch_ahead.h, inside their own unnamed namespace. One accumulator for each row
// and block: a chain along K, the same at any tile size.

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
  const char* weights[kBlocks];
#pragma GCC unroll 8
  for (int b = 0; b < kBlocks; ++b) {
    weights[b] = reinterpret_cast<const char*>(tile.weights[b] + tile.begin);
  }
  Vec16 sums[kRows][kBlocks];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
    for (int b = 0; b < kBlocks; ++b) sums[r][b] = zero();
  }
  FetchAhead ahead(*tile.fetch, tile.k, kBytes);
  for (int64_t k = 0; k < tile.k; ++k, ahead.next_step()) {
    Vec16 w[kBlocks];
#pragma GCC unroll 8
    for (int b = 0; b < kBlocks; ++b) {
      w[b] = load_weights<kFormat>(weights[b] + k * kBytes);
      ahead.fetch(weights[b]);
    }
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const Vec16 x = all(tile.x[r * tile.x_stride + k]);
#pragma GCC unroll 8
      for (int b = 0; b < kBlocks; ++b) sums[r][b] = fma(x, w[b], sums[r][b]);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
    for (int b = 0; b < kBlocks; ++b) store(tile.sums + (r * kMaxBlocks + b) * kBlock, sums[r][b]);
  }
}

template <FloatFormat kFormat, int kRows>
inline void float_tile_of(const FloatTile& tile) {
  FloatTile part = tile;
  const auto advance = [&](int blocks) {
    part.weights += blocks;
    part.sums += blocks * kBlock;
  };
  int block = 0;
  constexpr int kBlocks = kFloatBlocks<kRows>;
  for (; block + kBlocks <= tile.blocks; block += kBlocks) {
    float_tile_of<kFormat, kRows, kBlocks>(part);
    advance(kBlocks);
  }
  if constexpr (kBlocks > 1) {
    for (; block < tile.blocks; ++block) {
      float_tile_of<kFormat, kRows, 1>(part);
      advance(1);
    }
  }
}

// As many rows at a time as fit the registers, as equal as can be.
template <FloatFormat kFormat>
inline void float_tile_of(const FloatTile& tile) {
  FloatTile part = tile;
  const int parts = (tile.rows + kFloatRows - 1) / kFloatRows;
  for (int i = 0; i < parts; ++i) {
    part.rows = tile.rows * (i + 1) / parts - tile.rows * i / parts;
    with_count<kFloatRows>(part.rows, [&]<int kRows>() { float_tile_of<kFormat, kRows>(part); });
    part.x += part.rows * tile.x_stride;
    part.sums += part.rows * kMaxBlocks * kBlock;
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
