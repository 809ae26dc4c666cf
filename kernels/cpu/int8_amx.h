// Digits of many rows as AMX tiles. Included only by kernels_avx512.cc, after its VNNI kernel,
// inside its unnamed namespace.

constexpr int kTileGroups = amx::kTileBytes / kGroup;  // of a step along K
constexpr int kWeightTileBytes = kTileGroups * kGroupBytes;
constexpr int kAmxRows = 2 * amx::kTileRows;
// Steps until the next blocks have their turn: so many of 32 rows stay in L1 beside the sums.
constexpr int64_t kChunkSteps = 8;
// Bytes that a block of weights which comes from memory is fetched ahead of its use.
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

// Copies the weights of kTileGroups groups from `group` on into `room`, a tile; zeros behind the
// last one.
template <typename Groups>
inline const uint8_t* gather(const Groups& groups, const uint8_t* weights, int64_t group,
                             uint8_t* room) {
  for (int i = 0; i < kTileGroups; ++i) {
    const __m512i w = group + i < groups.count
                          ? _mm512_loadu_si512(weights + groups.place(group + i))
                          : _mm512_setzero_si512();
    _mm512_store_si512(room + i * kGroupBytes, w);
  }
  return room;
}

// The low digits' groups, by tiles: weights are loaded where they lie, and fetched.
class AllTiles {
 public:
  explicit AllTiles(const Int8Tile& tile) : digits(tile.x.low), count(tile.groups), end_(count) {
    const WeightFetch& fetch = *tile.fetch;
    if (fetch.same_column) {
      ahead_ = kWeightsAhead;
      lines_ = fetch.in_cache ? 0 : kTileGroups;
    } else {
      ahead_ = fetch.ahead;
      lines_ = (kTileGroups + fetch.parts - 1) / fetch.parts;
      first_ = fetch.part * count / fetch.parts;
      end_ = (fetch.part + 1) * count / fetch.parts;
    }
  }

  int64_t place(int64_t i) const { return i * kGroupBytes; }

  // kTileGroups groups' weights of a block, side by side.
  const uint8_t* tile_at(const uint8_t* weights, int64_t group, uint8_t* room) const {
    if (group + kTileGroups > count) return gather(*this, weights, group, room);
    return weights + group * kGroupBytes;
  }

  // Into L2, beside the step at `group`. Groups of weights are cache lines.
  template <int kBlocks>
  void fetch_beside(const uint8_t* const (&weights)[kBlocks], int64_t group) const {
    const int64_t begin = first_ + group / kTileGroups * lines_;
    const int64_t end = begin + lines_ < end_ ? begin + lines_ : end_;
    for (int64_t line = begin; line < end; ++line) {
      for (const uint8_t* block : weights) fetch_into_l2(block + ahead_ + line * kGroupBytes);
    }
  }

  const int8_t* const digits;
  const int64_t count;

 private:
  int64_t ahead_, lines_, first_ = 0, end_;
};

// The high digits': weights are brought together first, but where they are.
class SharedTiles : public SharedGroups {
 public:
  using SharedGroups::SharedGroups;

  const uint8_t* tile_at(const uint8_t* weights, int64_t group, uint8_t* room) const {
    const int64_t last = group + kTileGroups - 1;
    if (last < count && place(last) - place(group) == (kTileGroups - 1) * kGroupBytes) {
      return weights + place(group);  // side by side already
    }
    return gather(*this, weights, group, room);
  }
  template <int kBlocks>
  void fetch_beside(const uint8_t* const (&)[kBlocks], int64_t) const {}
};

enum class Then { kNothing, kLeaves };  // what is made of a product's sums

// The product of kRowTiles tiles of rows and kBlocks blocks. Its sums are in registers 0 to 3; the
// others hold the inputs, which each serve kBlocks products, and the weights, which serve kRowTiles
// and therefore leave L1 to the inputs.
//
// A store of sums waits for the last product. So that the products behind it need not wait as well,
// each register is stored where the next blocks' first step takes it over, be they of another
// shard or of other rows, and leaves are made of the sums beside the steps that follow.
template <int kRowTiles, int kBlocks>
class AmxProduct {
 public:
  // Of the tile's blocks [begin, end); sums go to `sums`, as Int8Tile's. REQUIRES: kBlocks divides
  // end - begin.
  template <typename Groups>
  static void run(const Int8Tile& tile, const Groups& groups, int begin, int end, int32_t* sums,
                  Then then, Int8Pending& pending) {
    if (pending.finish != nullptr && pending.finish != finish) pending.finish(pending);
    alignas(64) uint8_t room[kBlocks][kWeightTileBytes];
    // One step at least, of zeros where there is no group.
    const int64_t steps = groups.count > 0 ? (groups.count + kTileGroups - 1) / kTileGroups : 1;
    // What is alone waits for memory, which likes one run of each block's weights.
    const int64_t chunks =
        end - begin > kBlocks && !tile.fetch->alone ? (steps + kChunkSteps - 1) / kChunkSteps : 1;
    for (int64_t chunk = 0; chunk < chunks; ++chunk) {
      const int64_t first = steps * chunk / chunks, stop = steps * (chunk + 1) / chunks;
      for (int block = begin; block < end; block += kBlocks) {
        const uint8_t* weights[kBlocks];
#pragma GCC unroll 4
        for (int b = 0; b < kBlocks; ++b) weights[b] = tile.weights[block + b] + tile.begin;
        int64_t group = first * kTileGroups;
        const auto from = [&](int b) { return groups.tile_at(weights[b], group, room[b]); };
        step(tile, groups, group, from, [&]<int t>() {
          if (pending.finish != nullptr) store<t>(pending);
          if (chunk == 0) {
            amx::zero<t>();
          } else {
            amx::load<t>(place<t>(sums, block), kStride);
          }
        });
        groups.fetch_beside(weights, group);
        const int later = static_cast<int>(stop - first) - 1;
        const int left = pending.finish != nullptr ? pending.tile->rows - pending.row : 0;
        const int rows_a_step = later > 1 ? (left + later - 1) / later : left;
        for (int i = 0; i < later; ++i) {
          group += kTileGroups;
          step(tile, groups, group, from, []<int t>() {});
          groups.fetch_beside(weights, group);
          take_leaves(pending, rows_a_step);
        }
        take_leaves(pending, left);
        const bool leaves = then == Then::kLeaves && chunk + 1 == chunks;
        pending = {.finish = finish,
                   .tile = &tile,
                   .sums = sums,
                   .block = block,
                   .row = leaves ? 0 : tile.rows,
                   .adds_unshared = leaves && block == 0 && tile.x.unshared.count > 0};
      }
    }
  }

 private:
  static constexpr int kSums = kRowTiles * kBlocks, kX = 4, kW = kX + kRowTiles;
  static constexpr int kWeightTiles = 8 - kW;
  static constexpr int64_t kStride = kMaxBlocks * kBlock * sizeof(int32_t);
  static_assert(kSums <= kX);

  // Of register t, with blocks from `block` on.
  template <int t>
  static int32_t* place(int32_t* sums, int block) {
    return sums + (t / kBlocks * amx::kTileRows * kMaxBlocks + block + t % kBlocks) * kBlock;
  }
  template <int t>
  static void store(const Int8Pending& pending) {
    amx::store<t>(place<t>(pending.sums, pending.block), kStride);
  }

  // The products of kTileGroups groups from `group` on, whose weights of block b are at from(b).
  // open<t>() makes register t ready for sums.
  template <typename Groups, typename From, typename Open>
  static void step(const Int8Tile& tile, const Groups& groups, int64_t group, const From& from,
                   const Open& open) {
    const int64_t stride = tile.x.digit_stride;
    const int8_t* x = groups.digits + group * kGroup;
    unroll<kBlocks>([&]<int b>() {
      constexpr int w = kW + b % kWeightTiles;
      amx::load_once<w>(from(b), kGroupBytes);
      unroll<kRowTiles>([&]<int r>() {
        if constexpr (b == 0) amx::load<kX + r>(x + r * amx::kTileRows * stride, stride);
        open.template operator()<r * kBlocks + b>();
        amx::multiply_add<r * kBlocks + b, kX + r, w>();
      });
    });
  }

  // Makes leaves of the next rows that wait for it. REQUIRES: their sums are stored.
  static void take_leaves(Int8Pending& pending, int rows) {
    if (rows <= 0) return;
    const Int8Tile& tile = *pending.tile;
    const int first = pending.row, end = first + rows < tile.rows ? first + rows : tile.rows;
    if (first >= end) return;
    if (pending.adds_unshared && first == 0) add_unshared(tile);
    make_leaves<kBlocks>(tile, pending.block, first, end);
    pending.row = end;
    // All at once: beside the products it would take the room in which their loads run ahead.
    const bool done = end == tile.rows && pending.block + kBlocks == tile.blocks;
    if (done && tile.finish != nullptr) finish_tile(*tile.finish);
  }

  static void finish(Int8Pending& pending) {
    unroll<kSums>([&]<int t>() { store<t>(pending); });
    take_leaves(pending, pending.tile->rows);
    pending.finish = nullptr;
  }
};

template <typename Groups>
void amx_products(const Int8Tile& tile, const Groups& groups, int32_t* sums, Then then,
                  Int8Pending& pending) {
  if (tile.rows <= amx::kTileRows) {
    return with_count<kMaxBlocks>(tile.blocks, [&]<int kBlocks>() {
      AmxProduct<1, kBlocks>::run(tile, groups, 0, kBlocks, sums, then, pending);
    });
  }
  const int even = tile.blocks / 2 * 2;
  if (even > 0) AmxProduct<2, 2>::run(tile, groups, 0, even, sums, then, pending);
  if (even < tile.blocks) {
    AmxProduct<2, 1>::run(tile, groups, even, tile.blocks, sums, then, pending);
  }
}
