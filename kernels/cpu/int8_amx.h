// Digits of many rows as AMX tiles. Included only by kernels_avx512.cc, after its VNNI kernel,
// inside its unnamed namespace.

constexpr int kTileGroups = amx::kTileBytes / kGroup;  // of a step along K
constexpr int kWeightTileBytes = kTileGroups * kGroupBytes;
constexpr int kAmxRows = 2 * amx::kTileRows;
// Steps until the next blocks have their turn: so many of 32 rows stay in L1 beside the sums.
constexpr int64_t kChunkSteps = 8;
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

// Steps of a product with so many groups: one at least, of zeros where there is none.
inline int64_t steps_of(int64_t groups) {
  return groups > 0 ? (groups + kTileGroups - 1) / kTileGroups : 1;
}

// The low digits' groups of kBlocks blocks, by tiles: weights are loaded where they lie, and
// fetched.
template <int kBlocks>
class AllTiles {
 public:
  using Room = uint8_t[kBlocks][kWeightTileBytes];

  // REQUIRES: `room`, on a cache line, lives as long as this.
  AllTiles(const Int8Tile& tile, Room& room)
      : digits(tile.x.low),
        steps(steps_of(tile.groups)),
        count_(tile.groups),
        end_(count_),
        last_(room) {
    const WeightFetch& fetch = *tile.fetch;
    if (fetch.from_memory) {
      lines_ = kTileGroups;
      ahead_ = kGroupsAhead * kGroupBytes;
      own_end_ = count_ > kGroupsAhead ? count_ - kGroupsAhead : 0;
    } else if (!fetch.same_column) {
      lines_ = (kTileGroups + fetch.parts - 1) / fetch.parts;
      ahead_ = fetch.ahead;
      first_ = fetch.part * count_ / fetch.parts;
      end_ = own_end_ = (fetch.part + 1) * count_ / fetch.parts;
    }
  }

  // The blocks from `block` on; those from `begin` to `end` have their turns.
  void start(const Int8Tile& tile, int block, int begin, int end) {
    const bool last = block + kBlocks == end;
    const int next = last ? begin : block + kBlocks;
    const int64_t offset = tile.begin + (last ? count_ * kGroupBytes + tile.next : 0);
#pragma GCC unroll 4
    for (int b = 0; b < kBlocks; ++b) {
      weights_[b] = tile.weights[block + b] + tile.begin;
      own_[b] = weights_[b] + ahead_;
      next_[b] = tile.weights[next + b] + offset - own_end_ * kGroupBytes;
    }
  }

  // Block b's weights of a step.
  const uint8_t* tile_at(int b, int64_t step) const {
    const uint8_t* from = weights_[b] + step * kWeightTileBytes;
    const int64_t left = count_ - step * kTileGroups;
    if (left >= kTileGroups) return from;
    for (int i = 0; i < kTileGroups; ++i) {
      const __m512i w =
          i < left ? _mm512_loadu_si512(from + i * kGroupBytes) : _mm512_setzero_si512();
      _mm512_store_si512(last_[b] + i * kGroupBytes, w);
    }
    return last_[b];
  }

  // Into L2, beside a step. Groups of weights are cache lines. Not fetch_into_l2(): gcc 12 takes a
  // function that does nothing but __builtin_prefetch for one without effect, and drops its calls.
  void fetch_beside(int64_t step) const {
    const int64_t begin = first_ + step * lines_;
    const int64_t end = begin + lines_ < end_ ? begin + lines_ : end_;
    for (int64_t line = begin; line < end; ++line) {
      const auto& from = line < own_end_ ? own_ : next_;
#pragma GCC unroll 4
      for (const uint8_t* block : from) {
        asm volatile("prefetcht1 %0" : : "m"(block[line * kGroupBytes]));
      }
    }
  }

  const int8_t* const digits;
  const int64_t steps;

 private:
  const int64_t count_;
  int64_t first_ = 0, end_;  // lines of a block that are fetched
  int64_t lines_ = 0;        // so many a step
  int64_t own_end_ = 0;      // those before it at own_, the others at next_, whose first one it is
  int64_t ahead_ = 0;        // bytes from weights_ to own_
  const uint8_t *weights_[kBlocks], *own_[kBlocks], *next_[kBlocks];
  Room& last_;  // with zeros behind its groups
};

// The high digits'. Weights that do not lie side by side are brought together, and that before
// their step, which otherwise would wait until they have left for the cache.
template <int kBlocks>
class SharedTiles {
 public:
  explicit SharedTiles(const Int8Tile& tile)
      : digits(tile.x.high),
        steps(has_high(tile) ? steps_of(tile.x.shared_count) : 0),
        groups_(tile.x.shared_groups),
        count_(tile.x.shared_count) {}

  void start(const Int8Tile& tile, int block) {
    for (int b = 0; b < kBlocks; ++b) weights_[b] = tile.weights[block + b] + tile.begin;
    ready_ = 0;
  }

  // Steps that there is room for before the first.
  int64_t ahead() const { return steps < kRoom ? steps : kRoom; }
  // Brings together what the next steps need, of so many steps at most and of groups before `end`.
  // REQUIRES: none of this block's steps has begun.
  void bring(int64_t most, int64_t end) {
    for (; most > 0 && ready_ < steps && ready_ < kRoom && last_group(ready_) < end; --most) {
      bring_next();
    }
  }

  // Block b's weights of a step. REQUIRES: steps in order.
  const uint8_t* tile_at(int b, int64_t step) {
    if (ready_ <= step) bring_next();
    return from_[step % kRoom][b];
  }

  // Beside a step, whose room is free then.
  void bring_beside() {
    if (ready_ < steps) bring_next();
  }

  const int8_t* const digits;
  const int64_t steps;

 private:
  static constexpr int kRoom = 4;  // steps
  int64_t place(int64_t i) const { return int64_t{groups_[i]} * kGroupBytes; }
  int64_t last_group(int64_t step) const {
    const int64_t behind = (step + 1) * kTileGroups;
    return count_ == 0 ? -1 : groups_[(behind < count_ ? behind : count_) - 1];
  }

  void bring_next() {
    const int64_t first = ready_ * kTileGroups, last = first + kTileGroups - 1;
    auto& room = room_[ready_ % kRoom];
    auto& from = from_[ready_ % kRoom];
    ++ready_;
    if (last < count_ && groups_[last] - groups_[first] == kTileGroups - 1) {
      for (int b = 0; b < kBlocks; ++b) from[b] = weights_[b] + place(first);
      return;  // side by side already
    }
    for (int i = 0; i < kTileGroups; ++i) {
      const bool there = first + i < count_;
      const int64_t at = there ? place(first + i) : 0;
#pragma GCC unroll 4
      for (int b = 0; b < kBlocks; ++b) {
        _mm512_store_si512(room[b] + i * kGroupBytes,
                           there ? _mm512_loadu_si512(weights_[b] + at) : _mm512_setzero_si512());
      }
    }
#pragma GCC unroll 4
    for (int b = 0; b < kBlocks; ++b) from[b] = room[b];
  }

  const uint16_t* groups_;
  int64_t count_, ready_ = 0;  // steps
  const uint8_t* weights_[kBlocks];
  const uint8_t* from_[kRoom][kBlocks];
  alignas(64) uint8_t room_[kRoom][kBlocks][kWeightTileBytes];
};

// The product of kRowTiles tiles of rows and kBlocks blocks. Its sums are in registers 0 to 3; the
// others hold the inputs, which each serve kBlocks products, and the weights, which serve kRowTiles
// and therefore leave L1 to the inputs.
//
// A store of sums waits for the last product. So that the products behind it need not wait as well,
// each register is stored where the first step of what follows takes it over, be that the high
// digits, other blocks, another shard or other rows, and leaves are made of the sums beside the
// steps that follow.
template <int kRowTiles, int kBlocks>
class AmxProduct {
 public:
  // Of the tile's blocks [begin, end). REQUIRES: kBlocks divides end - begin.
  static void run(const Int8Tile& tile, int begin, int end, Int8Pending& pending) {
    if (pending.finish != nullptr && pending.finish != finish) pending.finish(pending);
    alignas(64) typename AllTiles<kBlocks>::Room last;
    AllTiles<kBlocks> all(tile, last);
    SharedTiles<kBlocks> shared(tile);
    // Memory likes one run of each block's weights.
    const bool from_memory = tile.fetch->from_memory;
    const int64_t chunks =
        end - begin > kBlocks && !from_memory ? (all.steps + kChunkSteps - 1) / kChunkSteps : 1;
    for (int64_t chunk = 0; chunk < chunks; ++chunk) {
      const Steps steps{.begin = all.steps * chunk / chunks,
                        .end = all.steps * (chunk + 1) / chunks};
      const bool high_follows = chunk + 1 == chunks && shared.steps > 0;
      // The last step leaves the weights their time to get into the cache.
      const int64_t steps_to_bring = steps.end - steps.begin > 1 ? steps.end - steps.begin - 1 : 1;
      const int64_t a_step =
          high_follows ? (shared.ahead() + steps_to_bring - 1) / steps_to_bring : 0;
      for (int block = begin; block < end; block += kBlocks) {
        all.start(tile, block, begin, end);
        const Sums low{
            .to = tile.low, .block = block, .complete = chunk + 1 == chunks && !high_follows};
        shared.start(tile, block);
        add(tile, all, steps, low, pending, [&](int64_t step) {
          all.fetch_beside(step);
          shared.bring(a_step, from_memory ? (step + 1) * kTileGroups : tile.groups);
        });
        if (!high_follows) continue;
        add(tile, shared, {.begin = 0, .end = shared.steps},
            {.to = tile.high, .block = block, .complete = true}, pending,
            [&](int64_t) { shared.bring_beside(); });
      }
    }
  }

 private:
  static constexpr int kSums = kRowTiles * kBlocks, kX = 4, kW = kX + kRowTiles;
  static constexpr int kWeightTiles = 8 - kW;
  static constexpr int64_t kStride = kMaxBlocks * kBlock * sizeof(int32_t);
  static_assert(kSums <= kX);

  struct Steps {
    int64_t begin, end;
  };
  struct Sums {
    int32_t* to;  // as Int8Tile's
    int block;
    bool complete;  // are leaves to be made of them?
  };

  // Of register t, with blocks from `block` on.
  template <int t>
  static int32_t* place(int32_t* sums, int block) {
    return sums + (t / kBlocks * amx::kTileRows * kMaxBlocks + block + t % kBlocks) * kBlock;
  }
  template <int t>
  static void store(const Int8Pending& pending) {
    amx::store<t>(place<t>(pending.sums, pending.block), kStride);
  }

  // Adds the products of some steps to `sums`, which are zero before the first, and leaves them
  // pending. beside(step): what else is done beside it.
  template <typename Groups, typename Beside>
  static void add(const Int8Tile& tile, Groups& groups, Steps steps, const Sums& sums,
                  Int8Pending& pending, const Beside& beside) {
    multiply(tile, groups, steps.begin, [&]<int t>() {
      if (pending.finish != nullptr) store<t>(pending);
      if (steps.begin == 0) {
        amx::zero<t>();
      } else {
        amx::load<t>(place<t>(sums.to, sums.block), kStride);
      }
    });
    beside(steps.begin);
    const int later = static_cast<int>(steps.end - steps.begin) - 1;
    const int left = pending.finish != nullptr ? pending.tile->rows - pending.row : 0;
    const int rows_a_step = later > 1 ? (left + later - 1) / later : left;
    for (int64_t step = steps.begin + 1; step < steps.end; ++step) {
      multiply(tile, groups, step, []<int t>() {});
      beside(step);
      take_leaves(pending, rows_a_step);
    }
    take_leaves(pending, left);
    pending = {.finish = finish,
               .tile = &tile,
               .sums = sums.to,
               .block = sums.block,
               .row = sums.complete ? 0 : tile.rows};
  }

  // The products of a step. open<t>() makes register t ready for sums.
  template <typename Groups, typename Open>
  static void multiply(const Int8Tile& tile, Groups& groups, int64_t step, const Open& open) {
    const int64_t stride = tile.x.digit_stride;
    const int8_t* x = groups.digits + step * kTileGroups * kGroup;
    unroll<kBlocks>([&]<int b>() {
      constexpr int w = kW + b % kWeightTiles;
      amx::load_once<w>(groups.tile_at(b, step), kGroupBytes);
      unroll<kRowTiles>([&]<int r>() {
        if constexpr (b == 0) amx::load<kX + r>(x + r * amx::kTileRows * stride, stride);
        open.template operator()<r * kBlocks + b>();
        amx::multiply_add<r * kBlocks + b, kX + r, w>();
      });
    });
  }

  // Makes leaves of the next rows that wait for it, the unshared groups' products added first.
  // REQUIRES: their sums are stored.
  static void take_leaves(Int8Pending& pending, int rows) {
    if (rows <= 0) return;
    const Int8Tile& tile = *pending.tile;
    const int first = pending.row, end = first + rows < tile.rows ? first + rows : tile.rows;
    if (first >= end) return;
    if (first == 0) add_unshared<kBlocks>(tile, pending.block);
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

inline void amx_products(const Int8Tile& tile, Int8Pending& pending) {
  if (tile.rows <= amx::kTileRows) {
    return with_count<kMaxBlocks>(tile.blocks, [&]<int kBlocks>() {
      AmxProduct<1, kBlocks>::run(tile, 0, kBlocks, pending);
    });
  }
  const int even = tile.blocks / 2 * 2;
  if (even > 0) AmxProduct<2, 2>::run(tile, 0, even, pending);
  if (even < tile.blocks) AmxProduct<2, 1>::run(tile, even, tile.blocks, pending);
}
