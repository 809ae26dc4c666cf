// Low digits of many rows as AMX tiles. Included only by kernels_avx512.cc, after its VNNI kernel,
// inside its unnamed namespace.

constexpr int kGroupBytes = kBlock * kGroup;  // of the weights of a block
constexpr int kTileGroups = amx::kTileBytes / kGroup;
constexpr int kWeightTileBytes = kTileGroups * kGroupBytes;
constexpr int kAmxRows = 2 * amx::kTileRows;
// Into L1: groups of the inputs, and bytes of a block of weights, ahead of their use. These include
// weights that come from memory.
constexpr int kInputsAhead = 2 * kTileGroups;
constexpr int64_t kWeightsAhead = 4 * kWeightTileBytes;
static_assert(kAmxRows <= kMaxInt8TileRows && kTileGroups * kGroup <= kMaxTileColumns &&
              kGroupBytes == amx::kTileBytes);

// body.operator()<i>() for i = 0 .. kEnd - 1; tile registers are named by constants.
template <int kEnd, int i = 0, typename Body>
inline void unroll(const Body& body) {
  if constexpr (i < kEnd) {
    body.template operator()<i>();
    unroll<kEnd, i + 1>(body);
  }
}

// The sums of kRowTiles by kBlocks tiles stay in registers 0 to 3; the others hold the inputs,
// which each serve kBlocks products, and the weights, which serve kRowTiles.
template <int kRowTiles, int kBlocks>
inline void amx_low(const Int8Tile& tile, int first_block) {
  constexpr int kSums = kRowTiles * kBlocks, kX = 4, kW = kX + kRowTiles, kWeightTiles = 8 - kW;
  static_assert(kSums <= 4);
  unroll<kSums>([]<int t>() { amx::zero<t>(); });
  const int8_t* x = tile.x->low;
  const uint8_t* weights[kBlocks];
  for (int b = 0; b < kBlocks; ++b) weights[b] = tile.weights[first_block + b] + tile.begin;
  // Into L2: this tile's part of the next column. Groups of weights are cache lines.
  const WeightFetch& next = tile.fetch;
  const bool fetches_next = next.ahead > kWeightsAhead;
  int64_t line = next.part * tile.groups / next.parts;
  const auto fetch_next = [&](int64_t group) {
    if (!fetches_next) return;
    const int64_t end = (next.part * tile.groups + group + kTileGroups) / next.parts;
    for (; line < end; ++line) {
      for (int b = 0; b < kBlocks; ++b) {
        _mm_prefetch(weights[b] + next.ahead + line * kGroupBytes, _MM_HINT_T1);
      }
    }
  };
  // The products of kTileGroups groups from `group` on, whose weights of block b are at from(b).
  const auto add_products = [&](int64_t group, const auto& from) {
    unroll<kRowTiles>([&]<int r>() {
      const int8_t* rows = x + group * kGroup + r * amx::kTileRows * tile.row_stride;
      amx::load<kX + r>(rows, tile.row_stride);
      for (int i = 0; i < amx::kTileRows; ++i) {
        _mm_prefetch(rows + i * tile.row_stride + kInputsAhead * kGroup, _MM_HINT_T0);
      }
    });
    unroll<kBlocks>([&]<int b>() {
      constexpr int w = kW + b % kWeightTiles;
      amx::load<w>(from(b), kGroupBytes);
      for (int i = 0; i < kTileGroups; ++i) {
        _mm_prefetch(weights[b] + (group + i) * kGroupBytes + kWeightsAhead, _MM_HINT_T0);
      }
      unroll<kRowTiles>([&]<int r>() { amx::multiply_add<r * kBlocks + b, kX + r, w>(); });
    });
    fetch_next(group);
  };
  int64_t group = 0;
  for (; group + kTileGroups <= tile.groups; group += kTileGroups) {
    add_products(group, [&](int b) { return weights[b] + group * kGroupBytes; });
  }
  if (const int64_t left = (tile.groups - group) * kGroupBytes; left > 0) {
    // No weights behind the last ones, whatever the inputs there are.
    alignas(64) uint8_t last[kBlocks * kWeightTileBytes] = {};
    for (int b = 0; b < kBlocks; ++b) {
      __builtin_memcpy(last + b * kWeightTileBytes, weights[b] + group * kGroupBytes, left);
    }
    add_products(group, [&](int b) { return last + b * kWeightTileBytes; });
  }
  alignas(64) int32_t sums[kRowTiles * amx::kTileRows][kBlocks][kBlock];
  unroll<kSums>([&]<int t>() {
    amx::store<t>(sums[t / kBlocks * amx::kTileRows][t % kBlocks], sizeof sums[0]);
  });
  for (int r = 0; r < tile.rows; ++r) {
    for (int b = 0; b < kBlocks; ++b) {
      store_leaf(tile, r, first_block + b, {_mm512_load_si512(sums[r][b])});
    }
  }
}

void amx_low(const Int8Tile& tile) {
  if (tile.rows <= kVnniRows) return vnni_low(tile);
  amx::configure_thread();
  if (tile.rows <= amx::kTileRows) {
    switch (tile.blocks) {
      case 1:
        return amx_low<1, 1>(tile, 0);
      case 2:
        return amx_low<1, 2>(tile, 0);
      case 3:
        return amx_low<1, 3>(tile, 0);
      default:
        return amx_low<1, 4>(tile, 0);
    }
  }
  for (int block = 0; block + 2 <= tile.blocks; block += 2) amx_low<2, 2>(tile, block);
  if (tile.blocks % 2 != 0) amx_low<2, 1>(tile, tile.blocks - 1);
}
