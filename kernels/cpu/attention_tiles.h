// Attention of a tile of query rows over the paged cache. Included only by the files that fill a
// KernelTable, after rows.h, inside their own unnamed namespace. Prefill and decode both come here:
// every score is one chain over the head's elements, every output one chain over the keys of a
// split, whatever the tile. A tile of rows x kFloatBlocks<rows> accumulators fits the registers.
//
// While a split's keys are scored its values are fetched into L2, and while those are added up, the
// next split's keys.
//
// Of a cache block, K lies by groups of up to kBlock keys, [groups][d][keys of the group], and V
// [keys][d]; kBF16Pairs: [groups][d / 2][keys of the group][2] and [keys / 2][d][2], so that one
// load has two steps of the chains along d and along the keys.

template <CacheFormat kFormat>
inline constexpr int64_t kElementsOfLine = kFormat == CacheFormat::kF32  ? 16
                                           : kFormat == CacheFormat::kI8 ? 64
                                                                         : 32;

// Into L2, not L1: more lines can be on their way there.
template <CacheFormat kFormat>
inline void fetch_cache(const void* base, int64_t at) {
  constexpr int64_t kBytes = 64 / kElementsOfLine<kFormat>;
  fetch_into_l2(static_cast<const char*>(base) + at * kBytes);
}

// Neighbours whose elements alternate.
template <CacheFormat kFormat>
inline constexpr int kTogether = kFormat == CacheFormat::kBF16Pairs ? 2 : 1;

// Sixteen lanes from element `at` on, of the `neighbour`th of those together. kSums: how many
// accumulators there are beside.
template <CacheFormat kFormat, int kSums>
inline Vec16 read_cache(const void* base, int64_t at, int neighbour) {
  if constexpr (kFormat == CacheFormat::kF32) return load(static_cast<const float*>(base) + at);
  if constexpr (kFormat == CacheFormat::kI8) return load_i8(static_cast<const int8_t*>(base) + at);
  const auto* from = static_cast<const uint16_t*>(base) + at;
  if constexpr (kFormat == CacheFormat::kBF16Pairs)
    return load_of_pairs<(kSums > 4)>(from, neighbour == 1);
  return load_bf16(from);
}

template <CacheFormat kFormat, typename Element>
inline Vec16 read_first(const Element* from, int neighbour, int n) {
  Element lanes[kTogether<kFormat> * kBlock] = {};
  for (int i = 0; i < kTogether<kFormat> * n; ++i) lanes[i] = from[i];
  return read_cache<kFormat, 1>(lanes, 0, neighbour);
}

// The first n lanes that read_cache() reads, zeros behind.
template <CacheFormat kFormat>
inline Vec16 read_some(const void* base, int64_t at, int neighbour, int n) {
  if constexpr (kFormat == CacheFormat::kF32)
    return load_first(static_cast<const float*>(base) + at, n);
  if constexpr (kFormat == CacheFormat::kI8)
    return read_first<kFormat>(static_cast<const int8_t*>(base) + at, neighbour, n);
  return read_first<kFormat>(static_cast<const uint16_t*>(base) + at, neighbour, n);
}

// Keys that lie side by side in a block of the cache, `size` of them: kBlock or, at a block's end,
// fewer. Their K and their V begin at element `at`. `next`, to be fetched: where the keys are that
// come a split later, as if in one block; `at` where there are none.
struct KeyGroup {
  int begin;  // position of the first
  int size;
  int64_t at, next;
  int64_t scale;  // of the first
};

// The groups that hold positions [begin, end), in order. `last`: what rows see at most.
// Returns how many.
inline int list_groups(const AttentionTile& tile, int begin, int end, int last, KeyGroup* groups) {
  const int size = tile.block_size;
  const auto at = [&](int block, int place) {
    return tile.table[block] * tile.block_stride + int64_t{place} * tile.d;
  };
  int count = 0, block = begin / size, place = begin % size / kBlock * kBlock;
  for (begin = block * size + place; begin < end;) {
    KeyGroup& group = groups[count++];
    group.begin = begin;
    group.size = size - place < kBlock ? size - place : kBlock;
    group.at = group.next = at(block, place);
    group.scale = tile.table[block] * tile.scale_stride + place;
    const int later = begin + kSplit;
    if (later <= last) group.next = at(later / size, later % size);
    begin += group.size;
    place += group.size;
    if (place < size) continue;
    place = 0;
    ++block;
  }
  return count;
}

// Of a row, by the key's place in the split; room for a group that begins before it or ends behind.
inline float* scores_of(const AttentionTile& tile, int row) {
  return tile.scores + row * kScoreStride + kBlock;
}

// Scores of kRows rows with the keys of kGroups groups of `keys` each.
template <CacheFormat kFormat, int kRows, int kGroups>
inline void score_groups(const AttentionTile& tile, int split, const KeyGroup* groups, int keys) {
  Vec16 dots[kRows][kGroups];
  const float* q[kRows];
  int64_t at[kGroups];
#pragma GCC unroll 8
  for (int g = 0; g < kGroups; ++g) at[g] = groups[g].at;
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
    q[r] = tile.rows[r].q;
#pragma GCC unroll 8
    for (int g = 0; g < kGroups; ++g) dots[r][g] = zero();
  }
  for (int k = 0; k < tile.d; k += kTogether<kFormat>) {
    if (k * kBlock % kElementsOfLine<kFormat> == 0) {
#pragma GCC unroll 8
      for (int g = 0; g < kGroups; ++g) fetch_cache<kFormat>(tile.v, at[g] + k * kBlock);
    }
#pragma GCC unroll 2
    for (int i = 0; i < kTogether<kFormat>; ++i) {
      Vec16 key[kGroups];
#pragma GCC unroll 8
      for (int g = 0; g < kGroups; ++g) {
        key[g] = keys == kBlock
                     ? read_cache<kFormat, kRows * kGroups>(tile.k, at[g] + k * kBlock, i)
                     : read_some<kFormat>(tile.k, at[g] + k * keys, i, keys);
      }
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) {
        const Vec16 value = all(q[r][k + i]);
#pragma GCC unroll 8
        for (int g = 0; g < kGroups; ++g) dots[r][g] = fma(value, key[g], dots[r][g]);
      }
    }
  }
  if constexpr (kFormat == CacheFormat::kI8) {
    for (int g = 0; g < kGroups; ++g) {
      const Vec16 scales = read(tile.k_scales + groups[g].scale, keys);
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) dots[r][g] = mul(dots[r][g], scales);
    }
  }
  for (int r = 0; r < kRows; ++r) {
    const AttentionRow& row = tile.rows[r];
    for (int g = 0; g < kGroups; ++g) {
      const int begin = groups[g].begin;
      const Vec16 distance = ramp(static_cast<float>(begin - row.position));
      store(scores_of(tile, r) + begin - split,
            add(mul(dots[r][g], all(tile.scale)), mul(all(row.slope), distance)));
    }
  }
}

// A group is scored whole; what is outside a row's range is not read.
template <CacheFormat kFormat, int kRows>
inline void score_rows(const AttentionTile& tile, int split, const KeyGroup* groups, int count) {
  constexpr int kGroups = kFloatBlocks<kRows>;
  int g = 0;
  if (tile.block_size % kBlock == 0) {
    for (; g + kGroups <= count; g += kGroups) {
      score_groups<kFormat, kRows, kGroups>(tile, split, groups + g, kBlock);
    }
  }
  for (; g < count; ++g) {
    score_groups<kFormat, kRows, 1>(tile, split, groups + g, groups[g].size);
  }
}

// Scores become weights relative to their maximum; their sum is in lanes by position.
inline AttentionSum soften(float* scores, int count) {
  Vec16 top = all(scores[0]);
  for (int i = 0; i < count; i += kBlock) {
    const int n = lanes_left(count, i);
    if (n == kBlock) {
      top = max(top, load(scores + i));
    } else {
      for (int k = 0; k < n; ++k) top = max(top, all(scores[i + k]));
    }
  }
  const float maximum = max_lanes(top);
  Vec16 total = zero();
  for (int i = 0; i < count; i += kBlock) {
    const int n = lanes_left(count, i);
    Vec16 weight = exponential(sub(read(scores + i, n), all(maximum)));
    write(scores + i, weight, n);
    if (n < kBlock) {
      float lanes[kBlock] = {};
      store_first(lanes, weight, n);
      weight = load(lanes);
    }
    total = add(total, weight);
  }
  return {.maximum = maximum, .sum = sum_lanes(total)};
}

// part[row] += weights of the keys [begin, end) times their values, elements [element, element +
// kBlocks * kBlock), of the last block only `lanes`. `group` holds the first key. Of keys that are
// together, it is those from the kFirst-th to before the kEnd-th.
template <CacheFormat kFormat, int kRows, int kBlocks, int kFirst, int kEnd>
inline void mix_blocks(const AttentionTile& tile, int first_row, int split, const KeyGroup* group,
                       int begin, int end, int element, int lanes) {
  constexpr int kKeys = kTogether<kFormat>;
  Vec16 sums[kRows][kBlocks];
  float* parts = tile.parts + first_row * tile.padded + element;
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
    for (int b = 0; b < kBlocks; ++b) sums[r][b] = load(parts + r * tile.padded + b * kBlock);
  }
  const float* weights = scores_of(tile, first_row) + begin - split;
  for (; begin < end; ++group) {
    const int first = begin - group->begin;
    const int run = group->size - first < end - begin ? group->size - first : end - begin;
    const int64_t skipped = int64_t{first - kFirst} * tile.d + kKeys * element;
    int64_t at = group->at + skipped, next = group->next + skipped;
    const float* scales = nullptr;
    if constexpr (kFormat == CacheFormat::kI8) scales = tile.v_scales + group->scale + first;
    for (int i = 0; i < run; i += kEnd - kFirst, weights += kEnd - kFirst) {
#pragma GCC unroll 8
      for (int64_t k = 0; k < kKeys * kBlocks * kBlock; k += kElementsOfLine<kFormat>) {
        fetch_cache<kFormat>(tile.k, next + k);
      }
#pragma GCC unroll 2
      for (int key = kFirst; key < kEnd; ++key) {
        Vec16 value[kBlocks];
#pragma GCC unroll 8
        for (int b = 0; b < kBlocks; ++b) {
          const int64_t place = at + kKeys * b * kBlock;
          value[b] = lanes == kBlock ? read_cache<kFormat, kRows * kBlocks>(tile.v, place, key)
                                     : read_some<kFormat>(tile.v, place, key, lanes);
          if constexpr (kFormat == CacheFormat::kI8) value[b] = mul(value[b], all(scales[i]));
        }
#pragma GCC unroll 8
        for (int r = 0; r < kRows; ++r) {
          const Vec16 weight = all(weights[r * kScoreStride + key - kFirst]);
#pragma GCC unroll 8
          for (int b = 0; b < kBlocks; ++b) sums[r][b] = fma(weight, value[b], sums[r][b]);
        }
      }
      at += kKeys * tile.d;
      next += kKeys * tile.d;
    }
    begin += run;
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
    for (int b = 0; b < kBlocks; ++b) store(parts + r * tile.padded + b * kBlock, sums[r][b]);
  }
}

template <CacheFormat kFormat, int kRows, int kFirst, int kEnd>
inline void mix_keys(const AttentionTile& tile, int first_row, int split, const KeyGroup* group,
                     int begin, int end) {
  if (begin >= end) return;
  while (group->begin + group->size <= begin) ++group;
  int element = 0;
  constexpr int kBlocks = kFloatBlocks<kRows>;
  for (; element + kBlocks * kBlock <= tile.d; element += kBlocks * kBlock) {
    mix_blocks<kFormat, kRows, kBlocks, kFirst, kEnd>(tile, first_row, split, group, begin, end,
                                                      element, kBlock);
  }
  for (; element < tile.d; element += kBlock) {
    mix_blocks<kFormat, kRows, 1, kFirst, kEnd>(tile, first_row, split, group, begin, end, element,
                                                lanes_left(tile.d, element));
  }
}

template <CacheFormat kFormat, int kRows>
inline void mix_rows(const AttentionTile& tile, int first_row, int split, const KeyGroup* group,
                     int begin, int end) {
  if (begin >= end) return;
  if constexpr (kTogether<kFormat> == 1) {
    mix_keys<kFormat, kRows, 0, 1>(tile, first_row, split, group, begin, end);
  } else {  // half a pair, whole ones, half a pair
    const int whole = begin + begin % 2, rest = end - end % 2;
    mix_keys<kFormat, kRows, 1, 2>(tile, first_row, split, group, begin, whole);
    mix_keys<kFormat, kRows, 0, 2>(tile, first_row, split, group, whole, rest);
    mix_keys<kFormat, kRows, 0, 1>(tile, first_row, split, group, rest, end);
  }
}

// The first split that a row sees is its total; each later one is added to it.
inline void add_split(const AttentionSum& sum, const float* part, int padded, AttentionSum& total,
                      float* out) {
  if (sum.sum == 0) return;
  if (total.sum == 0) {
    for (int k = 0; k < padded; k += kBlock) store(out + k, load(part + k));
    total = sum;
    return;
  }
  const float joint = total.maximum > sum.maximum ? total.maximum : sum.maximum;
  float factors[kBlock];
  store(factors, exponential(all(total.maximum - joint)));
  const float a = factors[0];
  store(factors, exponential(all(sum.maximum - joint)));
  const float b = factors[0];
  for (int k = 0; k < padded; k += kBlock) {
    store(out + k, fma(load(out + k), all(a), mul(load(part + k), all(b))));
  }
  total = {.maximum = joint, .sum = total.sum * a + sum.sum * b};
}

inline void write_out(const AttentionTile& tile, int r, const AttentionSum& total,
                      const float* out) {
  for (int k = 0; k < tile.d; k += kBlock) {
    write(tile.rows[r].out + k, div(load(out + k), all(total.sum)), lanes_left(tile.d, k));
  }
}

// The tile's kRows rows over the split that begins at `split`: parts and sums. What all of them see
// is one product; the keys before and after it, where windows and causes differ, are each row's
// own.
template <CacheFormat kFormat, int kRows>
inline void attend_split(const AttentionTile& tile, int split) {
  int begin[kRows], end[kRows], least = split + kSplit, most = split, last = 0;
  int common_begin = split, common_end = split + kSplit;
  for (int r = 0; r < kRows; ++r) {
    const AttentionRow& row = tile.rows[r];
    begin[r] = row.first > split ? row.first : split;
    end[r] = row.position + 1 < split + kSplit ? row.position + 1 : split + kSplit;
    if (begin[r] > end[r]) begin[r] = end[r];
    if (begin[r] < least && begin[r] < end[r]) least = begin[r];
    if (end[r] > most) most = end[r];
    if (begin[r] > common_begin) common_begin = begin[r];
    if (end[r] < common_end) common_end = end[r];
    if (row.position > last) last = row.position;
  }
  KeyGroup groups[kSplit];
  const int count = list_groups(tile, least, most, last, groups);
  score_rows<kFormat, kRows>(tile, split, groups, count);
  const bool common = common_begin < common_end;
  for (int r = 0; r < kRows; ++r) {
    float* part = tile.parts + r * tile.padded;
    for (int k = 0; k < tile.padded; k += kBlock) store(part + k, zero());
    tile.sums[r] = {};
    if (begin[r] >= end[r]) continue;
    tile.sums[r] = soften(scores_of(tile, r) + begin[r] - split, end[r] - begin[r]);
    mix_rows<kFormat, 1>(tile, r, split, groups, begin[r], common ? common_begin : end[r]);
  }
  if (common) {
    mix_rows<kFormat, kRows>(tile, 0, split, groups, common_begin, common_end);
    for (int r = 0; r < kRows; ++r) {
      mix_rows<kFormat, 1>(tile, r, split, groups, common_end, end[r]);
    }
  }
}

// All that the tile's rows see: attend(split) makes their parts and sums of a split.
template <typename Attend>
inline void attend_splits(const AttentionTile& tile, const Attend& attend) {
  int first = tile.rows[0].first, last = tile.rows[0].position;
  for (int r = 1; r < tile.num_rows; ++r) {
    const AttentionRow& row = tile.rows[r];
    first = row.first < first ? row.first : first;
    last = row.position > last ? row.position : last;
  }
  AttentionSum totals[kMaxAttentionRows] = {};
  for (int split = first / kSplit * kSplit; split <= last; split += kSplit) {
    attend(split);
    for (int r = 0; r < tile.num_rows; ++r) {
      add_split(tile.sums[r], tile.parts + r * tile.padded, tile.padded, totals[r],
                tile.totals + r * tile.padded);
    }
  }
  for (int r = 0; r < tile.num_rows; ++r) {
    write_out(tile, r, totals[r], tile.totals + r * tile.padded);
  }
}

// Calls body.operator()<format, rows>(group) for groups of the tile's rows, as many as fit the
// registers, as equal as can be. `keeps`: each has its own parts and sums.
template <CacheFormat kFormat, typename Body>
inline void for_row_groups(const AttentionTile& tile, bool keeps, const Body& body) {
  static_assert(kFloatRows <= kScoreRows);
  AttentionTile group = tile;
  const int groups = (tile.num_rows + kFloatRows - 1) / kFloatRows;
  for (int i = 0; i < groups; ++i) {
    group.num_rows = tile.num_rows * (i + 1) / groups - tile.num_rows * i / groups;
    with_count<kFloatRows>(group.num_rows,
                           [&]<int kRows>() { body.template operator()<kFormat, kRows>(group); });
    group.rows += group.num_rows;
    if (!keeps) continue;
    group.parts += group.num_rows * tile.padded;
    group.sums += group.num_rows;
  }
}

template <typename Body>
inline void for_row_groups(const AttentionTile& tile, bool keeps, const Body& body) {
  switch (tile.format) {
    case CacheFormat::kF32:
      return for_row_groups<CacheFormat::kF32>(tile, keeps, body);
    case CacheFormat::kBF16:
      return for_row_groups<CacheFormat::kBF16>(tile, keeps, body);
    case CacheFormat::kBF16Pairs:
      return for_row_groups<CacheFormat::kBF16Pairs>(tile, keeps, body);
    case CacheFormat::kI8:
      return for_row_groups<CacheFormat::kI8>(tile, keeps, body);
  }
}

inline void attention_tile(const AttentionTile& tile) {
  for_row_groups(tile, false, []<CacheFormat kFormat, int kRows>(const AttentionTile& group) {
    attend_splits(group, [&](int split) { attend_split<kFormat, kRows>(group, split); });
  });
}

inline void attention_split(const AttentionTile& tile, int split) {
  for_row_groups(tile, true, [split]<CacheFormat kFormat, int kRows>(const AttentionTile& group) {
    attend_split<kFormat, kRows>(group, split);
  });
}

inline void attention_join(const AttentionTile& tile, int splits) {
  for (int r = 0; r < tile.num_rows; ++r) {
    AttentionSum total = {};
    for (int at = r; at < splits * tile.num_rows; at += tile.num_rows) {
      add_split(tile.sums[at], tile.parts + at * int64_t{tile.padded}, tile.padded, total,
                tile.totals);
    }
    write_out(tile, r, total, tile.totals);
  }
}

inline int64_t no_attention_digits(int64_t) { return 0; }
