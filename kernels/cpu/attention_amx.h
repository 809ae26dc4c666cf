// Attention by AMX tiles of bf16. Included only by kernels_avx512.cc, after attention_tiles.h and
// int8_amx.h, inside its unnamed namespace.
//
// Of a kBF16Pairs cache, K and V lie as tdpbf16ps wants its second operand: 16 keys by 32 elements
// of the head are a tile, and so are 32 keys by 16 elements. What they are multiplied by, q and the
// softmax weights, is two bf16 digits each, 16 of fp32's 24 bits. A score is a sum over the head,
// 32 elements a product. An output is two sums over a split's keys, of the weights' high and of
// their low digits, which are added last; 32 keys a product from the split's first position on,
// whatever the tile: keys that a row does not see have the weight 0, which changes no sum.

constexpr int kStepKeys = 32, kStepElements = 32;  // of a product

inline bool amx_attends(const AttentionTile& tile) {
  return tile.format == CacheFormat::kBF16Pairs && tile.d % kStepElements == 0 &&
         tile.block_size % kBlock == 0 && tile.num_rows > 0;
}

// Numbers in two bf16 digits, high + low: each rounded to eight bits, and what that leaves.
struct HalfDigits {
  uint16_t *high, *low;

  // Of 32, in one store each, which is as wide as the load that waits for it.
  void store(int64_t at, Vec16 a, Vec16 b) const {
    const __m512i half = _mm512_set1_epi32(0x8000);
    const __m512i upper = _mm512_set1_epi32(static_cast<int>(0xffff0000));
    const auto rounded = [&](Vec16 x) {
      const __m512i bits = _mm512_add_epi32(_mm512_castps_si512(x.v), half);
      return _mm512_castsi512_ps(_mm512_and_si512(bits, upper));
    };
    const __m512 high_a = rounded(a), high_b = rounded(b);
    _mm512_storeu_si512(high + at, avx512::to_bf16(high_a, high_b));
    _mm512_storeu_si512(low + at,
                        avx512::to_bf16(_mm512_sub_ps(a.v, high_a), _mm512_sub_ps(b.v, high_b)));
  }
};

// What lies in AttentionTile::digits.
struct AmxScratch {
  // Of weights: an odd number of cache lines.
  static constexpr int64_t kWeightStride = kSplit + kStepKeys;
  static constexpr int64_t kWeights = amx::kTileRows * kWeightStride;
  // Of scores: the same.
  static constexpr int64_t kRowScores = kSplit + kBlock, kScores = amx::kTileRows * kRowScores;

  static constexpr int64_t size(int64_t d) {  // of uint16_t
    return 2 * kMaxAttentionRows * d + 4 * kWeights + kSplit * d +
           (2 * kScores + 2 * amx::kTileRows * d) * static_cast<int64_t>(sizeof(float) / 2);
  }
  explicit AmxScratch(const AttentionTile& tile) {
    const int64_t d = tile.d;
    q = {.high = tile.digits, .low = tile.digits + kMaxAttentionRows * d};
    uint16_t* next = q.low + kMaxAttentionRows * d;
    for (HalfDigits& of_tile : weights) {
      of_tile = {.high = next, .low = next + kWeights};
      next += 2 * kWeights;
    }
    values = next;
    auto* floats = reinterpret_cast<float*>(values + kSplit * d);
    scores[0] = floats;
    scores[1] = scores[0] + kScores;
    parts[0] = scores[1] + kScores;
    parts[1] = parts[0] + amx::kTileRows * d;
  }

  HalfDigits q;           // [kMaxAttentionRows, d]
  HalfDigits weights[2];  // of two row tiles: [kTileRows, kWeightStride]
  float* scores[2];       // the same: [kTileRows, kRowScores]
  uint16_t* values;       // [kSplit / 2, d, 2]
  float* parts[2];        // of the weights' high and low digits: [kTileRows, d]
};

class AmxAttention {
 public:
  // REQUIRES: amx_attends(tile).
  explicit AmxAttention(const AttentionTile& tile) : tile_(tile), scratch_(tile) {
    amx::configure_thread();
    for (int r = 0; r < tile.num_rows; ++r) {
      const float* q = tile.rows[r].q;
      for (int k = 0; k < tile.d; k += kStepElements) {
        scratch_.q.store(int64_t{r} * tile.d + k, load(q + k), load(q + k + kBlock));
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
    if (least >= most) {
      for (int r = 0; r < tile_.num_rows; ++r) {
        tile_.sums[r] = {};
        for (int k = 0; k < tile_.d; k += kBlock) write(part_of(r) + k, zero(), kBlock);
      }
      return;
    }
    num_groups_ = list_groups(tile_, split + keys_.begin, split + most, last, groups_);
    copy_values();
    first_split_ = false;
    const int tiles = (tile_.num_rows + amx::kTileRows - 1) / amx::kTileRows;
    for (int t = 0; t < tiles + 2; ++t) advance(t, tiles);
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

  // Weighs the rows of row tile t - 1. Beside it the tile unit scores tile t, and mixes the values
  // of tile t - 2, in parts: what waits for one has the other's instructions to wait with.
  void advance(int t, int tiles) {
    constexpr int kGroups = 4, kBlocks = 2;
    static_assert(kBlocks * kBlock == kStepElements);  // which divide the head
    const int to_score = t < tiles ? (num_groups_ + kGroups - 1) / kGroups : 0;
    const int to_mix = t >= 2 ? tile_.d / (kBlocks * kBlock) : 0;
    const int rows = rows_of(t - 1);
    int done = 0;
    const auto work = [&](int until) {
      for (; done < until; ++done) {
        if (done >= to_score) {
          mix<kBlocks>(t - 2, (done - to_score) * kBlocks * kBlock);
          continue;
        }
        const int first = done * kGroups, left = num_groups_ - first;
        with_count<kGroups>(left < kGroups ? left : kGroups,
                            [&]<int kCount>() { score<kCount>(t, groups_ + first); });
      }
    };
    for (int r = 0; r < rows; ++r) {
      work((to_score + to_mix) * (r + 1) / rows);
      weigh(t - 1, r);
    }
    work(to_score + to_mix);
    for (int r = 0; r < rows_of(t - 2); ++r) keep(t - 2, r);
  }

  int rows_of(int t) const {
    const int left = tile_.num_rows - t * amx::kTileRows;
    return t < 0 || left < 0 ? 0 : left < amx::kTileRows ? left : amx::kTileRows;
  }

  // q k of a row tile with so many groups' keys.
  template <int kGroups>
  void score(int t, const KeyGroup* groups) {
    unroll<kGroups>([]<int g>() { amx::zero<g>(); });
    const int64_t stride = tile_.d * sizeof(uint16_t), at = int64_t{t} * amx::kTileRows * tile_.d;
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
      amx::store<g>(scratch_.scores[t % 2] + groups[g].begin - split_,
                    AmxScratch::kRowScores * sizeof(float));
    });
  }

  // Softmax weights of a row, the r-th of its tile, of its scores; 0 for keys that it does not see.
  void weigh(int t, int r) {
    const int number = t * amx::kTileRows + r;
    const AttentionRow& row = tile_.rows[number];
    const Keys keys = seen(number);
    const HalfDigits& to = scratch_.weights[t % 2];
    const int end = static_cast<int>(steps_end()) * kStepKeys;
    const int64_t place = r * AmxScratch::kWeightStride;
    tile_.sums[number] = {};
    if (keys.begin >= keys.end) {
      for (int k = keys_.begin; k < end; k += kStepKeys) {
        to.store(place + k, zero(), zero());
      }
      return;
    }
    float* scores = scratch_.scores[t % 2] + r * AmxScratch::kRowScores;
    float scale = tile_.scale;
    if (row.slope != 0) {
      for (int k = keys.begin / kBlock * kBlock; k < keys.end; k += kBlock) {
        const Vec16 distance = ramp(static_cast<float>(split_ + k - row.position));
        store(scores + k, fma(all(row.slope), distance, mul(load(scores + k), all(scale))));
      }
      scale = 1.0f;
    }
    Vec16 tops[2] = {all(-__builtin_inff()), all(-__builtin_inff())};
    for_steps(keys, end, [&]<bool kWhole>(int k) {
#pragma GCC unroll 2
      for (int half = 0; half < 2; ++half) {
        const Vec16 values = load(scores + k + half * kBlock);
        const __mmask16 lanes = kWhole ? 0xffff : seen_lanes(keys, k + half * kBlock);
        tops[half] = {_mm512_mask_max_ps(tops[half].v, lanes, tops[half].v, values.v)};
      }
    });
    const float maximum = max_lanes(max(tops[0], tops[1])) * scale;
    constexpr float kLog2E = 1.44269504f;
    const Vec16 by = all(scale * kLog2E), less = all(-maximum * kLog2E);
    Vec16 totals[2] = {zero(), zero()};
    for_steps(keys, end, [&]<bool kWhole>(int k) {
      Vec16 weights[2];
#pragma GCC unroll 2
      for (int half = 0; half < 2; ++half) {
        weights[half] = power_of_two_of(fma(load(scores + k + half * kBlock), by, less));
        if constexpr (!kWhole) {
          const __mmask16 lanes = seen_lanes(keys, k + half * kBlock);
          weights[half] = {_mm512_maskz_mov_ps(lanes, weights[half].v)};
        }
        totals[half] = add(totals[half], weights[half]);
      }
      to.store(place + k, weights[0], weights[1]);
    });
    tile_.sums[number] = {.maximum = maximum, .sum = sum_lanes(add(totals[0], totals[1]))};
  }

  // body.operator()<all 32 keys are seen>(k) for each step's first key.
  template <typename Body>
  void for_steps(const Keys& keys, int end, const Body& body) const {
    const int whole = (keys.begin + kStepKeys - 1) / kStepKeys * kStepKeys;
    const int whole_end = keys.end / kStepKeys * kStepKeys;
    int k = keys_.begin;
    for (; k < whole && k < end; k += kStepKeys) body.template operator()<false>(k);
    for (; k < whole_end; k += kStepKeys) body.template operator()<true>(k);
    for (; k < end; k += kStepKeys) body.template operator()<false>(k);
  }

  // Of sixteen keys from the k-th of the split on, those that are seen.
  static __mmask16 seen_lanes(const Keys& keys, int k) {
    const int from = keys.begin > k ? keys.begin - k : 0, to = keys.end - k;
    if (from >= kBlock || to <= 0) return 0;
    const uint32_t before_end = to >= kBlock ? 0xffff : (1u << to) - 1;
    return static_cast<__mmask16>(before_end >> from << from);
  }

  // 2^x for x <= 0 or hardly more, within 2^-18 of itself, for weights in two bf16 digits; no less
  // than 2^-126. Of the Taylor series of e^(x ln 2).
  static Vec16 power_of_two_of(Vec16 x) {
    x = max(x, all(-126.0f));
    const Vec16 n = round_even(x);
    const Vec16 r = sub(x, n);
    Vec16 p = all(1.3333558e-3f);
    p = fma(p, r, all(9.6181291e-3f));
    p = fma(p, r, all(5.5504109e-2f));
    p = fma(p, r, all(2.4022651e-1f));
    p = fma(p, r, all(6.9314718e-1f));
    p = fma(p, r, all(1.0f));
    return times_power_of_two(p, n);
  }

  // A row tile's weights times kBlocks blocks of the values, from `element` on.
  template <int kBlocks>
  void mix(int t, int element) {
    static_assert(2 * kBlocks <= 4);
    const int64_t d = tile_.d;
    const HalfDigits& weights = scratch_.weights[t % 2];
    constexpr int64_t kStride = AmxScratch::kWeightStride * sizeof(uint16_t);
    unroll<2 * kBlocks>([]<int i>() { amx::zero<i>(); });
    for (int64_t key = keys_.begin; key < keys_.end; key += kStepKeys) {
      amx::load<4>(weights.high + key, kStride);
      amx::load<5>(weights.low + key, kStride);
      const uint16_t* values = scratch_.values + key * d + 2 * element;
      unroll<kBlocks>([&]<int b>() {
        amx::load<6 + b % 2>(values + 2 * b * kBlock, 2 * d * sizeof(uint16_t));
        amx::multiply_add_bf16<2 * b, 4, 6 + b % 2>();
        amx::multiply_add_bf16<2 * b + 1, 5, 6 + b % 2>();
      });
    }
    unroll<2 * kBlocks>([&]<int i>() {
      amx::store<i>(scratch_.parts[i % 2] + element + i / 2 * kBlock, d * sizeof(float));
    });
  }

  float* part_of(int row) const { return tile_.parts + row * int64_t{tile_.padded}; }

  // The part of a row, the r-th of its tile.
  void keep(int t, int r) const {
    const int row = t * amx::kTileRows + r;
    float* part = part_of(row);
    const bool any = tile_.sums[row].sum != 0;
    for (int k = 0; k < tile_.d; k += kBlock) {
      const int64_t at = r * int64_t{tile_.d} + k;
      const Vec16 sum = add(load(scratch_.parts[0] + at), load(scratch_.parts[1] + at));
      write(part + k, any ? sum : zero(), kBlock);
    }
    if (any && !finite_) mark_unfinite(row, part);
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
