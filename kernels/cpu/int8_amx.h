// Digits of many rows as AMX tiles. Included only by kernels_avx512.cc, after its VNNI kernel,
// inside its unnamed namespace.

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

// Copies the weights of `count` groups from `group` on into `room`, a tile, zeros behind them.
template <typename Groups>
inline const uint8_t* gather(const Groups& groups, const uint8_t* weights, int64_t group,
                             int64_t count, uint8_t* room) {
  for (int i = 0; i < kTileGroups; ++i) {
    const __m512i w =
        i < count ? _mm512_loadu_si512(weights + groups.place(group + i)) : _mm512_setzero_si512();
    _mm512_store_si512(room + i * kGroupBytes, w);
  }
  return room;
}

// The low digits' groups, by tiles: weights are loaded where they lie, and fetched.
class AllTiles : public AllGroups<false> {
 public:
  explicit AllTiles(const Int8Tile& tile)
      : AllGroups(tile), next_(tile.fetch), line_(next_.part * tile.groups / next_.parts) {}

  // kTileGroups groups' weights of a block, side by side.
  const uint8_t* tile_at(const uint8_t* weights, int64_t group, uint8_t* /*room*/) const {
    const uint8_t* from = weights + group * kGroupBytes;
    for (int i = 0; i < kTileGroups; ++i) {
      _mm_prefetch(from + i * kGroupBytes + kWeightsAhead, _MM_HINT_T0);
    }
    return from;
  }

  // Into L2: this tile's part of the next column. Groups of weights are cache lines.
  template <int kBlocks>
  void fetch_next(const uint8_t* const (&weights)[kBlocks], int64_t group) {
    if (next_.ahead <= kWeightsAhead) return;
    const int64_t end = (next_.part * count + group + kTileGroups) / next_.parts;
    for (; line_ < end; ++line_) {
      for (const uint8_t* block : weights) {
        _mm_prefetch(block + next_.ahead + line_ * kGroupBytes, _MM_HINT_T1);
      }
    }
  }

 private:
  WeightFetch next_;
  int64_t line_;
};

// The high digits': weights are brought together first.
class SharedTiles : public SharedGroups {
 public:
  using SharedGroups::SharedGroups;

  const uint8_t* tile_at(const uint8_t* weights, int64_t group, uint8_t* room) const {
    return gather(*this, weights, group, kTileGroups, room);
  }
  template <int kBlocks>
  void fetch_next(const uint8_t* const (&)[kBlocks], int64_t) {}
};

// The sums of kRowTiles by kBlocks tiles stay in registers 0 to 3; the others hold the inputs,
// which each serve kBlocks products, and the weights, which serve kRowTiles.
template <int kRowTiles, int kBlocks, typename Groups>
inline void amx_products(const Int8Tile& tile, Groups groups, int first_block) {
  constexpr int kSums = kRowTiles * kBlocks, kX = 4, kW = kX + kRowTiles, kWeightTiles = 8 - kW;
  static_assert(kSums <= 4);
  unroll<kSums>([]<int t>() { amx::zero<t>(); });
  const uint8_t* weights[kBlocks];
  for (int b = 0; b < kBlocks; ++b) weights[b] = tile.weights[first_block + b] + tile.begin;
  // The products of kTileGroups groups from `group` on, whose weights of block b are at from(b).
  const auto add_products = [&](int64_t group, const auto& from) {
    unroll<kRowTiles>([&]<int r>() {
      const int64_t stride = tile.x.digit_stride;
      const int8_t* rows = groups.digits + group * kGroup + r * amx::kTileRows * stride;
      amx::load<kX + r>(rows, stride);
      for (int i = 0; i < amx::kTileRows; ++i) {
        _mm_prefetch(rows + i * stride + kInputsAhead * kGroup, _MM_HINT_T0);
      }
    });
    unroll<kBlocks>([&]<int b>() {
      constexpr int w = kW + b % kWeightTiles;
      amx::load<w>(from(b), kGroupBytes);
      unroll<kRowTiles>([&]<int r>() { amx::multiply_add<r * kBlocks + b, kX + r, w>(); });
    });
    groups.fetch_next(weights, group);
  };
  alignas(64) uint8_t room[kBlocks][kWeightTileBytes];
  int64_t group = 0;
  for (; group + kTileGroups <= groups.count; group += kTileGroups) {
    add_products(group, [&](int b) { return groups.tile_at(weights[b], group, room[b]); });
  }
  if (group < groups.count) {
    // No weights behind the last ones, whatever the inputs there are.
    add_products(group, [&](int b) {
      return gather(groups, weights[b], group, groups.count - group, room[b]);
    });
  }
  alignas(64) int32_t sums[kRowTiles * amx::kTileRows][kBlocks][kBlock];
  unroll<kSums>([&]<int t>() {
    amx::store<t>(sums[t / kBlocks * amx::kTileRows][t % kBlocks], sizeof sums[0]);
  });
  for (int r = 0; r < tile.rows; ++r) {
    for (int b = 0; b < kBlocks; ++b) {
      Groups::store(tile, r, first_block + b, _mm512_load_si512(sums[r][b]));
    }
  }
}

template <typename Groups>
void amx_products(const Int8Tile& tile, const Groups& groups) {
  if (tile.rows <= amx::kTileRows) {
    return with_count<kMaxBlocks>(
        tile.blocks, [&]<int kBlocks>() { amx_products<1, kBlocks>(tile, groups, 0); });
  }
  for (int block = 0; block + 2 <= tile.blocks; block += 2) {
    amx_products<2, 2>(tile, groups, block);
  }
  if (tile.blocks % 2 != 0) amx_products<2, 1>(tile, groups, tile.blocks - 1);
}
