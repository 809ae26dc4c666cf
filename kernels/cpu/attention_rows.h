// Attention of one query row over the paged cache. Included only by the files that fill a
// KernelTable, after vec16.h, inside their own unnamed namespace. Prefill and decode both come
// here, row by row: one order of the sums.

template <FloatFormat kFormat>
inline Vec16 read_cache(const void* base, int64_t at, int n) {
  if constexpr (kFormat == FloatFormat::kF32) return read(static_cast<const float*>(base) + at, n);
  const uint16_t* p = static_cast<const uint16_t*>(base) + at;
  if (n == kBlock) return load_bf16(p);
  uint16_t lanes[kBlock] = {};
  for (int i = 0; i < n; ++i) lanes[i] = p[i];
  return load_bf16(lanes);
}

// scores[p - begin] = q k_p * scale + slope * (p - position) for p in [begin, end).
template <FloatFormat kFormat>
inline void score(const AttentionRow& row, int head, int begin, int end, float* scores) {
  const float* q = row.q + static_cast<int64_t>(head) * row.d;
  const float slope = row.slopes != nullptr ? row.slopes[head] : 0.0f;
  for (int p = begin; p < end; ++p) {
    const int64_t at = row.table[p / row.block_size] * row.block_stride +
                       static_cast<int64_t>(p % row.block_size) * row.d;
    Vec16 dot = zero();
    for (int k = 0; k < row.d; k += kBlock) {
      const int n = lanes_left(row.d, k);
      dot = fma(read(q + k, n), read_cache<kFormat>(row.k, at + k, n), dot);
    }
    scores[p - begin] = sum_lanes(dot) * row.scale + slope * static_cast<float>(p - row.position);
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

template <FloatFormat kFormat>
inline void mix(const AttentionRow& row, int begin, int end, const float* weights, float* values) {
  for (int k = 0; k < row.d; k += kBlock) {
    const int n = lanes_left(row.d, k);
    Vec16 value = zero();
    for (int p = begin; p < end; ++p) {
      const int64_t at = row.table[p / row.block_size] * row.block_stride +
                         static_cast<int64_t>(p % row.block_size) * row.d;
      value = fma(all(weights[p - begin]), read_cache<kFormat>(row.v, at + k, n), value);
    }
    store(values + k, value);
  }
}

template <FloatFormat kFormat>
inline void attention_head(const AttentionRow& row, int head) {
  const int padded = (row.d + kBlock - 1) / kBlock * kBlock;
  float* total = row.partial;
  float* part = row.partial + padded;
  float maximum = 0, sum = 0;
  for (int split = 0; split <= row.position; split += row.split) {
    const int begin = split < row.first ? row.first : split;
    const int end = split + row.split <= row.position ? split + row.split : row.position + 1;
    if (begin >= end) continue;
    score<kFormat>(row, head, begin, end, row.scores);
    float part_sum;
    const float part_maximum = soften(row.scores, end - begin, &part_sum);
    mix<kFormat>(row, begin, end, row.scores, part);
    if (sum == 0) {
      for (int k = 0; k < padded; ++k) total[k] = part[k];
      maximum = part_maximum;
      sum = part_sum;
      continue;
    }
    const float joint = maximum > part_maximum ? maximum : part_maximum;
    float factors[kBlock];
    store(factors, exponential(all(maximum - joint)));
    const float a = factors[0];
    store(factors, exponential(all(part_maximum - joint)));
    const float b = factors[0];
    for (int k = 0; k < padded; k += kBlock) {
      store(total + k, fma(load(total + k), all(a), mul(load(part + k), all(b))));
    }
    sum = sum * a + part_sum * b;
    maximum = joint;
  }
  float* out = row.out + static_cast<int64_t>(head) * row.d;
  for (int k = 0; k < row.d; k += kBlock) {
    write(out + k, div(load(total + k), all(sum)), lanes_left(row.d, k));
  }
}

inline void attention_row(const AttentionRow& row) {
  for (int head = 0; head < row.heads; ++head) {
    if (row.format == FloatFormat::kF32) {
      attention_head<FloatFormat::kF32>(row, head);
    } else {
      attention_head<FloatFormat::kBF16>(row, head);
    }
  }
}
