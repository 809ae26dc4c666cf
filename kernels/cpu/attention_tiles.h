// Attention of a tile of query rows over the paged cache. Included only by the files that fill a
// KernelTable, after rows.h, inside their own unnamed namespace. Prefill and decode both come here:
// every score is one chain over the head's elements, every output one chain over the keys of a
// split, whatever the tile. A kFloatRows x kFloatBlocks tile of accumulators fits the registers.
//
// Of a cache block, K lies by groups of up to kBlock keys: [groups][d][keys of the group].

template <FloatFormat kFormat>
inline Vec16 read_cache(const void* base, int64_t at) {
  if constexpr (kFormat == FloatFormat::kF32) return load(static_cast<const float*>(base) + at);
  if constexpr (kFormat == FloatFormat::kI8) return load_i8(static_cast<const int8_t*>(base) + at);
  return load_bf16(static_cast<const uint16_t*>(base) + at);
}

template <FloatFormat kFormat>
inline Vec16 read_cache(const void* base, int64_t at, int n) {
  if constexpr (kFormat == FloatFormat::kF32)
    return load_first(static_cast<const float*>(base) + at, n);
  if constexpr (kFormat == FloatFormat::kI8) {
    int8_t lanes[kBlock] = {};
    for (int i = 0; i < n; ++i) lanes[i] = static_cast<const int8_t*>(base)[at + i];
    return load_i8(lanes);
  }
  uint16_t lanes[kBlock] = {};
  for (int i = 0; i < n; ++i) lanes[i] = static_cast<const uint16_t*>(base)[at + i];
  return load_bf16(lanes);
}

// Where the scale of a position is.
inline int64_t scale_at(const AttentionTile& tile, int position) {
  return tile.table[position / tile.block_size] * tile.scale_stride + position % tile.block_size;
}

// Of a row, by the key's place in the split; room for a group that begins before it or ends behind.
inline float* scores_of(const AttentionTile& tile, int row) {
  return tile.scores + row * kScoreStride + kBlock;
}

// Scores of kRows rows with the keys of kGroups groups, `begin` being the first key.
template <FloatFormat kFormat, int kRows, int kGroups>
inline void score_groups(const AttentionTile& tile, int first_row, int split, int begin, int keys) {
  Vec16 dots[kRows][kGroups];
  int64_t at[kGroups];
#pragma GCC unroll 8
  for (int g = 0; g < kGroups; ++g) {
    const int p = begin + g * kBlock;
    at[g] = tile.table[p / tile.block_size] * tile.block_stride +
            static_cast<int64_t>(p % tile.block_size) * tile.d;
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) dots[r][g] = zero();
  }
  for (int k = 0; k < tile.d; ++k) {
    Vec16 key[kGroups];
#pragma GCC unroll 8
    for (int g = 0; g < kGroups; ++g) {
      key[g] = keys == kBlock ? read_cache<kFormat>(tile.k, at[g] + k * kBlock)
                              : read_cache<kFormat>(tile.k, at[g] + k * keys, keys);
    }
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const Vec16 q = all(tile.rows[first_row + r].q[k]);
#pragma GCC unroll 8
      for (int g = 0; g < kGroups; ++g) dots[r][g] = fma(q, key[g], dots[r][g]);
    }
  }
  if constexpr (kFormat == FloatFormat::kI8) {
    for (int g = 0; g < kGroups; ++g) {
      const Vec16 scales = read(tile.k_scales + scale_at(tile, begin + g * kBlock), keys);
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) dots[r][g] = mul(dots[r][g], scales);
    }
  }
  for (int r = 0; r < kRows; ++r) {
    const AttentionRow& row = tile.rows[first_row + r];
    float* scores = scores_of(tile, first_row + r) + begin - split;
    for (int g = 0; g < kGroups; ++g) {
      const Vec16 distance = ramp(static_cast<float>(begin + g * kBlock - row.position));
      store(scores + g * kBlock,
            add(mul(dots[r][g], all(tile.scale)), mul(all(row.slope), distance)));
    }
  }
}

template <FloatFormat kFormat, int kRows>
inline void score_rows(const AttentionTile& tile, int first_row, int split, int begin, int end) {
  while (begin < end) {
    const int place = begin % tile.block_size;
    const int keys = tile.block_size - place / kBlock * kBlock < kBlock
                         ? tile.block_size - place / kBlock * kBlock
                         : kBlock;
    begin -= place % kBlock;  // a group is scored whole; what is outside a row's range is not read
    if (keys == kBlock && tile.block_size % kBlock == 0 && begin + kFloatBlocks * kBlock <= end) {
      score_groups<kFormat, kRows, kFloatBlocks>(tile, first_row, split, begin, kBlock);
      begin += kFloatBlocks * kBlock;
    } else {
      score_groups<kFormat, kRows, 1>(tile, first_row, split, begin, keys);
      begin += keys;
    }
  }
}

// Scores become weights relative to their maximum; returns it, and their sum in lanes by position.
inline float soften(float* scores, int count, float* sum) {
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
  *sum = sum_lanes(total);
  return maximum;
}

// part[row] += weights of the keys [begin, end) times their values, elements [element, element +
// kBlocks * kBlock), of the last block only `lanes`.
template <FloatFormat kFormat, int kRows, int kBlocks>
inline void mix_blocks(const AttentionTile& tile, int first_row, int split, int begin, int end,
                       int element, int lanes) {
  Vec16 sums[kRows][kBlocks];
  float* parts = tile.parts + first_row * tile.padded + element;
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
    for (int b = 0; b < kBlocks; ++b) sums[r][b] = load(parts + r * tile.padded + b * kBlock);
  }
  const float* weights = scores_of(tile, first_row) + begin - split;
  while (begin < end) {
    const int place = begin % tile.block_size;
    const int run = tile.block_size - place < end - begin ? tile.block_size - place : end - begin;
    int64_t at = tile.table[begin / tile.block_size] * tile.block_stride +
                 static_cast<int64_t>(place) * tile.d + element;
    const float* scales = nullptr;
    if constexpr (kFormat == FloatFormat::kI8) scales = tile.v_scales + scale_at(tile, begin);
    for (int i = 0; i < run; ++i, at += tile.d, ++weights) {
      Vec16 value[kBlocks];
#pragma GCC unroll 8
      for (int b = 0; b < kBlocks; ++b) {
        value[b] = lanes == kBlock ? read_cache<kFormat>(tile.v, at + b * kBlock)
                                   : read_cache<kFormat>(tile.v, at + b * kBlock, lanes);
        if constexpr (kFormat == FloatFormat::kI8) value[b] = mul(value[b], all(scales[i]));
      }
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) {
        const Vec16 weight = all(weights[r * kScoreStride]);
#pragma GCC unroll 8
        for (int b = 0; b < kBlocks; ++b) sums[r][b] = fma(weight, value[b], sums[r][b]);
      }
    }
    begin += run;
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
    for (int b = 0; b < kBlocks; ++b) store(parts + r * tile.padded + b * kBlock, sums[r][b]);
  }
}

template <FloatFormat kFormat, int kRows>
inline void mix_rows(const AttentionTile& tile, int first_row, int split, int begin, int end) {
  if (begin >= end) return;
  int element = 0;
  for (; element + kFloatBlocks * kBlock <= tile.d; element += kFloatBlocks * kBlock) {
    mix_blocks<kFormat, kRows, kFloatBlocks>(tile, first_row, split, begin, end, element, kBlock);
  }
  for (; element < tile.d; element += kBlock) {
    mix_blocks<kFormat, kRows, 1>(tile, first_row, split, begin, end, element,
                                  lanes_left(tile.d, element));
  }
}

// The first split of a row is its total so far; each later one is added to it.
inline void merge(const AttentionTile& tile, int r, float maximum, float sum) {
  AttentionRow& row = tile.rows[r];
  float* total = tile.totals + r * tile.padded;
  const float* part = tile.parts + r * tile.padded;
  if (row.sum == 0) {
    for (int k = 0; k < tile.padded; k += kBlock) store(total + k, load(part + k));
    row.maximum = maximum;
    row.sum = sum;
    return;
  }
  const float joint = row.maximum > maximum ? row.maximum : maximum;
  float factors[kBlock];
  store(factors, exponential(all(row.maximum - joint)));
  const float a = factors[0];
  store(factors, exponential(all(maximum - joint)));
  const float b = factors[0];
  for (int k = 0; k < tile.padded; k += kBlock) {
    store(total + k, fma(load(total + k), all(a), mul(load(part + k), all(b))));
  }
  row.sum = row.sum * a + sum * b;
  row.maximum = joint;
}

// Rows [first_row, first_row + kRows) of the tile over the split that begins at `split`. What all
// of them see is one product; the keys before and after it, where windows and causes differ, are
// each row's own.
template <FloatFormat kFormat, int kRows>
inline void attend_split(const AttentionTile& tile, int first_row, int split) {
  int begin[kRows], end[kRows], least = split + kSplit, most = split;
  int common_begin = split, common_end = split + kSplit;
  for (int r = 0; r < kRows; ++r) {
    const AttentionRow& row = tile.rows[first_row + r];
    begin[r] = row.first > split ? row.first : split;
    end[r] = row.position + 1 < split + kSplit ? row.position + 1 : split + kSplit;
    if (begin[r] > end[r]) begin[r] = end[r];
    if (begin[r] < least && begin[r] < end[r]) least = begin[r];
    if (end[r] > most) most = end[r];
    if (begin[r] > common_begin) common_begin = begin[r];
    if (end[r] < common_end) common_end = end[r];
  }
  score_rows<kFormat, kRows>(tile, first_row, split, least, most);
  const bool common = common_begin < common_end;
  float maxima[kRows] = {}, sums[kRows] = {};
  for (int r = 0; r < kRows; ++r) {
    float* part = tile.parts + (first_row + r) * tile.padded;
    for (int k = 0; k < tile.padded; k += kBlock) store(part + k, zero());
    if (begin[r] == end[r]) continue;
    maxima[r] =
        soften(scores_of(tile, first_row + r) + begin[r] - split, end[r] - begin[r], &sums[r]);
    mix_rows<kFormat, 1>(tile, first_row + r, split, begin[r], common ? common_begin : end[r]);
  }
  if (common) {
    mix_rows<kFormat, kRows>(tile, first_row, split, common_begin, common_end);
    for (int r = 0; r < kRows; ++r) {
      mix_rows<kFormat, 1>(tile, first_row + r, split, common_end, end[r]);
    }
  }
  for (int r = 0; r < kRows; ++r) {
    if (begin[r] < end[r]) merge(tile, first_row + r, maxima[r], sums[r]);
  }
}

template <FloatFormat kFormat, int kRows>
inline void attend_rows(const AttentionTile& tile, int first_row) {
  int first = tile.rows[first_row].first, last = tile.rows[first_row].position;
  for (int r = 1; r < kRows; ++r) {
    const AttentionRow& row = tile.rows[first_row + r];
    first = row.first < first ? row.first : first;
    last = row.position > last ? row.position : last;
  }
  for (int split = first / kSplit * kSplit; split <= last; split += kSplit) {
    attend_split<kFormat, kRows>(tile, first_row, split);
  }
  for (int r = first_row; r < first_row + kRows; ++r) {
    for (int k = 0; k < tile.d; k += kBlock) {
      const Vec16 total = load(tile.totals + r * tile.padded + k);
      write(tile.rows[r].out + k, div(total, all(tile.rows[r].sum)), lanes_left(tile.d, k));
    }
  }
}

template <FloatFormat kFormat>
inline void attend(const AttentionTile& tile) {
  int row = 0;
  for (; row + kFloatRows <= tile.num_rows; row += kFloatRows) {
    attend_rows<kFormat, kFloatRows>(tile, row);
  }
  for (; row + 3 <= tile.num_rows; row += 3) attend_rows<kFormat, 3>(tile, row);
  for (; row < tile.num_rows; ++row) attend_rows<kFormat, 1>(tile, row);
}

inline void attention_tile(const AttentionTile& tile) {
  switch (tile.format) {
    case FloatFormat::kF32:
      return attend<FloatFormat::kF32>(tile);
    case FloatFormat::kI8:
      return attend<FloatFormat::kI8>(tile);
    default:
      return attend<FloatFormat::kBF16>(tile);
  }
}
