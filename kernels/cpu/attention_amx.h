// Attention by AMX tiles of bf16. Included only by kernels_avx512.cc, after attention_tiles.h and
// int8_amx.h, inside its unnamed namespace.
//
// Of a kBF16Pairs cache, K and V lie as tdpbf16ps wants its second operand: 16 keys by 32 elements
// of the head are a tile, and so are 32 keys by 16 elements. What they are multiplied by, q and the
// softmax weights, is two bf16 digits each, 16 of fp32's 24 bits. A score is a sum over the head,
// 32 elements a product, and an output one over a split's keys, 32 a product from the split's first
// position on, whatever the tile: keys that a row does not see have the weight 0, which changes no
// sum.

constexpr int kStepKeys = 32, kStepElements = 32;  // of a product

inline bool amx_attends(const AttentionTile& tile) {
  return tile.format == CacheFormat::kBF16Pairs && tile.d % kStepElements == 0 &&
         tile.block_size % kBlock == 0 && tile.num_rows > 0;
}

// Numbers in two bf16 digits, high + low.
struct HalfDigits {
  uint16_t *high, *low;

  void store(int64_t at, Vec16 numbers) const {
    const __m256i upper = avx512::to_bf16(numbers.v);
    const __m512i widened = _mm512_slli_epi32(_mm512_cvtepu16_epi32(upper), 16);
    const __m256i rest = avx512::to_bf16(_mm512_sub_ps(numbers.v, _mm512_castsi512_ps(widened)));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(high + at), upper);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(low + at), rest);
  }
};

// What lies in AttentionTile::digits.
struct AmxScratch {
  // Of weights: an odd number of cache lines.
  static constexpr int64_t kWeightStride = kSplit + kStepKeys;
  static constexpr int64_t kWeights = amx::kTileRows * kWeightStride;

  static constexpr int64_t size(int64_t d) {  // of uint16_t
    return 2 * kMaxAttentionRows * d + 2 * kWeights + kSplit * d + 2 * amx::kTileRows * d;
  }
  explicit AmxScratch(const AttentionTile& tile) {
    const int64_t d = tile.d;
    q = {.high = tile.digits, .low = tile.digits + kMaxAttentionRows * d};
    weights.high = q.low + kMaxAttentionRows * d;
    weights.low = weights.high + kWeights;
    values = weights.low + kWeights;
    parts = reinterpret_cast<float*>(values + kSplit * d);
  }

  HalfDigits q;        // [kMaxAttentionRows, d]
  HalfDigits weights;  // [kTileRows, kWeightStride]
  uint16_t* values;    // [kSplit / 2, d, 2]
  float* parts;        // [kTileRows, d]
};

static_assert(amx::kTileRows <= kScoreRows);

class AmxAttention {
 public:
  // REQUIRES: amx_attends(tile).
  explicit AmxAttention(const AttentionTile& tile) : tile_(tile), scratch_(tile) {
    amx::configure_thread();
    for (int r = 0; r < tile.num_rows; ++r) {
      for (int k = 0; k < tile.d; k += kBlock) {
        scratch_.q.store(int64_t{r} * tile.d + k, load(tile.rows[r].q + k));
      }
    }
  }

  // All rows' parts and sums of a split.
  void attend(int split) {
    split_ = split;
    int least = kSplit, most = 0, last = 0;
    for (int r = 0; r < tile_.num_rows; ++r) {
      const Keys keys = seen(r);
      if (keys.begin >= keys.end) continue;
      least = keys.begin < least ? keys.begin : least;
      most = keys.end > most ? keys.end : most;
      last = tile_.rows[r].position > last ? tile_.rows[r].position : last;
    }
    keys_ = {least / kStepKeys * kStepKeys, most};
    if (least < most) {
      num_groups_ = list_groups(tile_, split + keys_.begin, split + most, last, groups_);
      copy_values();
      first_split_ = false;
    }
    for (int first = 0; first < tile_.num_rows; first += amx::kTileRows) {
      const int left = tile_.num_rows - first;
      const int rows = left < amx::kTileRows ? left : amx::kTileRows;
      if (least < most) {
        score(first);
        for (int r = 0; r < rows; ++r) weigh(first, r);
        mix();
      }
      for (int r = 0; r < rows; ++r) keep(first, r);
    }
  }

 private:
  struct Keys {  // by their place in the split
    int begin, end;
  };
  Keys seen(int row) const {
    const int begin = tile_.rows[row].first - split_, end = tile_.rows[row].position + 1 - split_;
    return {begin > 0 ? begin : 0, end < kSplit ? end : kSplit};
  }

  const uint16_t* value(const KeyGroup& group) const {
    return static_cast<const uint16_t*>(tile_.v) + group.at;
  }

  // The values of all keys that a row may see, side by side, zeros behind them up to a whole step.
  // Fetches what comes a split later; of the first one, its keys, and values two groups ahead.
  void copy_values() {
    const int64_t d = tile_.d;
    Vec16 check = zero();  // NaN once a value is not finite
    const auto copy = [&](const uint16_t* from, uint16_t* to) {
      const Vec16 pairs = load(reinterpret_cast<const float*>(from));  // as good as the seconds
      check = fma(pairs, zero(), fma(load_of_pairs<false>(from, false), zero(), check));
      write(reinterpret_cast<float*>(to), pairs, kBlock);
    };
    for (int g = 0; g < num_groups_; ++g) {
      const KeyGroup& group = groups_[g];
      const int place = group.begin - split_;
      const int keys = keys_.end - place < group.size ? keys_.end - place : group.size;
      uint16_t* to = scratch_.values + place * d;
      for (int64_t i = 0; i < keys / 2 * 2 * d; i += 2 * kBlock) {
        copy(value(group) + i, to + i);
        if (first_split_) {
          const KeyGroup& soon = groups_[g + 2 < num_groups_ ? g + 2 : g];
          fetch_cache<CacheFormat::kBF16Pairs>(tile_.k, group.at + i);
          fetch_cache<CacheFormat::kBF16Pairs>(tile_.v, soon.at + i);
        }
        if (group.next == group.at) continue;
        fetch_cache<CacheFormat::kBF16Pairs>(tile_.k, group.next + i);
        fetch_cache<CacheFormat::kBF16Pairs>(tile_.v, group.next + i);
      }
      if (keys % 2 == 0) continue;
      for (int64_t i = keys / 2 * 2 * d; i < (keys + 1) * d; i += 2) {
        to[i] = value(group)[i];
        to[i + 1] = 0;
        check = fma(all(bf16(to[i])), zero(), check);
      }
    }
    const int64_t copied = (keys_.end + 1) / 2 * 2, whole = steps_end() * kStepKeys;
    __builtin_memset(scratch_.values + copied * d, 0, (whole - copied) * d * sizeof(uint16_t));
    finite_ = nonzero_lanes(check) == 0;
    if (!finite_) drop_unfinite();
  }

  static float bf16(uint16_t bits) { return __builtin_bit_cast(float, uint32_t{bits} << 16); }
  static bool is_finite(uint16_t bits) { return (bits & 0x7f80) != 0x7f80; }

  // Zeros in their place, because a row that does not see them would be multiplied too.
  void drop_unfinite() {
    for (int64_t i = keys_.begin * tile_.d; i < steps_end() * kStepKeys * tile_.d; ++i) {
      if (!is_finite(scratch_.values[i])) scratch_.values[i] = 0;
    }
  }

  // Outputs of a row that sees such values.
  void mark_unfinite(int row, float* part) const {
    const Keys keys = seen(row);
    for (int g = 0; g < num_groups_; ++g) {
      for (int i = 0; i < groups_[g].size; ++i) {
        const int key = groups_[g].begin - split_ + i;
        if (key < keys.begin || key >= keys.end) continue;
        for (int k = 0; k < tile_.d; ++k) {
          const int64_t at = (i / 2 * int64_t{tile_.d} + k) * 2 + i % 2;
          if (!is_finite(value(groups_[g])[at])) part[k] = __builtin_nanf("");
        }
      }
    }
  }

  int64_t steps_end() const { return (keys_.end + kStepKeys - 1) / kStepKeys; }

  // q k of kTileRows rows from `first` on with all groups' keys.
  void score(int first) {
    constexpr int kMost = 4;
    for (int g = 0; g < num_groups_; g += kMost) {
      with_count<kMost>(num_groups_ - g < kMost ? num_groups_ - g : kMost,
                        [&]<int kGroups>() { score<kGroups>(first, groups_ + g); });
    }
  }
  template <int kGroups>
  void score(int first, const KeyGroup* groups) {
    unroll<kGroups>([]<int g>() { amx::zero<g>(); });
    const int64_t stride = tile_.d * sizeof(uint16_t), at = int64_t{first} * tile_.d;
    for (int k = 0; k < tile_.d; k += kStepElements) {
      amx::load<4>(scratch_.q.high + at + k, stride);
      amx::load<5>(scratch_.q.low + at + k, stride);
      unroll<kGroups>([&]<int g>() {
        const auto* keys = static_cast<const uint16_t*>(tile_.k) + groups[g].at;
        amx::load<6 + g % 2>(keys + int64_t{k} * kBlock, amx::kTileBytes);
        amx::multiply_add_bf16<g, 4, 6 + g % 2>();
        amx::multiply_add_bf16<g, 5, 6 + g % 2>();
      });
    }
    unroll<kGroups>([&]<int g>() {
      amx::store<g>(scores_of(tile_, 0) + groups[g].begin - split_, kScoreStride * sizeof(float));
    });
  }

  // Softmax weights of a row, the r-th of its tile, of its scores; 0 for keys that it does not see.
  void weigh(int first, int r) {
    const AttentionRow& row = tile_.rows[first + r];
    const Keys keys = seen(first + r);
    const int end = static_cast<int>(steps_end()) * kStepKeys;
    const int64_t place = r * AmxScratch::kWeightStride;
    const HalfDigits to = scratch_.weights;
    tile_.sums[first + r] = {};
    if (keys.begin >= keys.end) {
      for (int k = keys_.begin; k < end; k += kBlock) to.store(place + k, zero());
      return;
    }
    float* scores = scores_of(tile_, r);
    Vec16 scale = all(tile_.scale);
    if (row.slope != 0) {
      for (int k = keys.begin / kBlock * kBlock; k < keys.end; k += kBlock) {
        const Vec16 distance = ramp(static_cast<float>(split_ + k - row.position));
        store(scores + k, fma(all(row.slope), distance, mul(load(scores + k), scale)));
      }
      scale = all(1.0f);
    }
    Vec16 top = all(-__builtin_inff());
    for (int k = keys.begin / kBlock * kBlock; k < keys.end; k += kBlock) {
      top = {_mm512_mask_max_ps(top.v, seen_lanes(keys, k), top.v, mul(load(scores + k), scale).v)};
    }
    const float maximum = max_lanes(top);
    Vec16 total = zero();
    for (int k = keys_.begin; k < end; k += kBlock) {
      const __mmask16 lanes = seen_lanes(keys, k);
      Vec16 weight = zero();
      if (lanes != 0) {
        weight = softmax_weight(fma(load(scores + k), scale, all(-maximum)));
        weight = {_mm512_maskz_mov_ps(lanes, weight.v)};
        total = add(total, weight);
      }
      to.store(place + k, weight);
    }
    tile_.sums[first + r] = {.maximum = maximum, .sum = sum_lanes(total)};
  }

  // Of sixteen keys from the k-th of the split on, those that are seen.
  static __mmask16 seen_lanes(const Keys& keys, int k) {
    const int from = keys.begin > k ? keys.begin - k : 0, to = keys.end - k;
    if (from >= kBlock || to <= 0) return 0;
    const uint32_t before_end = to >= kBlock ? 0xffff : (1u << to) - 1;
    return static_cast<__mmask16>(before_end >> from << from);
  }

  // e^x for x <= 0 within 2^-18 of itself, for weights in two bf16 digits; from e^-87 to 1.
  static Vec16 softmax_weight(Vec16 x) {
    x = min(max(x, all(-87.0f)), zero());
    const Vec16 n = round_even(mul(x, all(1.44269504f)));
    const Vec16 r = fma(n, all(-0.69314718f), x);
    Vec16 p = all(1.0f / 120);
    p = fma(p, r, all(1.0f / 24));
    p = fma(p, r, all(1.0f / 6));
    p = fma(p, r, all(0.5f));
    p = fma(p, r, all(1.0f));
    p = fma(p, r, all(1.0f));
    return {_mm512_scalef_ps(p.v, n.v)};
  }

  // The rows' weights times the values.
  void mix() {
    constexpr int kMost = 4;
    const int blocks = tile_.d / kBlock;
    for (int b = 0; b < blocks; b += kMost) {
      with_count<kMost>(blocks - b < kMost ? blocks - b : kMost,
                        [&]<int kBlocks>() { mix<kBlocks>(b * kBlock); });
    }
  }
  template <int kBlocks>
  void mix(int element) {
    const int64_t d = tile_.d;
    const HalfDigits& weights = scratch_.weights;
    constexpr int64_t kStride = AmxScratch::kWeightStride * sizeof(uint16_t);
    unroll<kBlocks>([]<int b>() { amx::zero<b>(); });
    for (int64_t key = keys_.begin; key < keys_.end; key += kStepKeys) {
      amx::load<4>(weights.high + key, kStride);
      amx::load<5>(weights.low + key, kStride);
      const uint16_t* values = scratch_.values + key * d + 2 * element;
      unroll<kBlocks>([&]<int b>() {
        amx::load<6 + b % 2>(values + 2 * b * kBlock, 2 * d * sizeof(uint16_t));
        amx::multiply_add_bf16<b, 4, 6 + b % 2>();
        amx::multiply_add_bf16<b, 5, 6 + b % 2>();
      });
    }
    unroll<kBlocks>(
        [&]<int b>() { amx::store<b>(scratch_.parts + element + b * kBlock, d * sizeof(float)); });
  }

  // The part of a row, the r-th of its tile.
  void keep(int first, int r) const {
    float* part = tile_.parts + (first + r) * int64_t{tile_.padded};
    const bool any = tile_.sums[first + r].sum != 0;
    for (int k = 0; k < tile_.d; k += kBlock) {
      write(part + k, any ? load(scratch_.parts + r * tile_.d + k) : zero(), kBlock);
    }
    if (any && !finite_) mark_unfinite(first + r, part);
  }

  const AttentionTile& tile_;
  const AmxScratch scratch_;
  int split_ = 0, num_groups_ = 0;
  Keys keys_{0, 0};          // that any row sees; from the beginning of a step on
  bool first_split_ = true;  // of this tile
  bool finite_ = true;       // are all values?
  KeyGroup groups_[kSplit / kBlock];
};

inline void amx_attention_split(const AttentionTile& tile, int split) {
  if (!amx_attends(tile)) return attention_split(tile, split);
  AmxAttention(tile).attend(split);
}

inline void amx_attention_tile(const AttentionTile& tile) {
  if (!amx_attends(tile)) return attention_tile(tile);
  AmxAttention attention(tile);
  attend_splits(tile, [&](int split) { attention.attend(split); });
}

int64_t amx_attention_digits(int64_t d) { return AmxScratch::size(d); }
