// Loops over rows: quantise, normalise, activate. Included only by the files that fill a
// KernelTable, after vec16.h, inside their own unnamed namespace. Tails shorter than a vector are
// read with zeros behind.

inline Vec16 read(const float* p, int n) { return n == kBlock ? load(p) : load_first(p, n); }

inline void write(float* p, Vec16 a, int n) {
  if (n == kBlock) {
    store(p, a);
  } else {
    store_first(p, a, n);
  }
}

inline int lanes_left(int64_t n, int64_t i) {
  return n - i < kBlock ? static_cast<int>(n - i) : kBlock;
}

// Calls body.operator()<n>() for the n that is `count`. REQUIRES: 1 <= count <= kMost.
template <int kMost, typename Body>
inline void with_count(int count, const Body& body) {
  if constexpr (kMost > 1) {
    if (count < kMost) return with_count<kMost - 1>(count, body);
  }
  body.template operator()<kMost>();
}

// Calls digits(values, at, low) for each sixteen values of a row, zeros behind the end, which
// stores their low digits; nothing is stored behind `padded`.
template <typename Digits>
inline void quantize_values(const float* x, int64_t n, int64_t padded, int8_t* low,
                            const Digits& digits) {
  int64_t i = 0;
  for (; i + kBlock <= n; i += kBlock) digits(load(x + i), i, low + i);
  if (i == padded) return;
  alignas(16) int8_t last[kBlock];
  digits(load_first(x + i, static_cast<int>(n - i)), i, last);
  for (int64_t k = i; k < padded; ++k) low[k] = last[k - i];
}

// low = round(x / scale).
inline void quantize_plain(const float* x, int64_t n, int64_t padded, float inverse, int8_t* to,
                           QuantizedRow* row) {
  Ints16 sum = no_ints();
  quantize_values(x, n, padded, to, [&](Vec16 values, int64_t, int8_t* low) {
    sum = add(sum, store_int8(low, mul(values, all(inverse))));
  });
  row->low_sum = sum_lanes(sum);
}

// The same for the values below the limit; the others, which it counts, in two digits.
inline void quantize_mixed(const float* x, int64_t n, int64_t padded, float limit, float inverse,
                           const RowDigits& to, QuantizedRow* row) {
  constexpr float kMost = 127.0f * 254.0f + 126.0f;
  Ints16 low_sum = no_ints(), high_sum = no_ints();
  int count = 0;
  const auto digits = [&](Vec16 values, int64_t at, int8_t* low) {
    const Vec16 outliers = drop_below(values, all(limit));
    const uint32_t lanes = nonzero_lanes(outliers);
    const Vec16 others = mul(keep_below(values, all(limit)), all(inverse));
    if (lanes == 0) {
      low_sum = add(low_sum, store_int8(low, others));
      return;
    }
    const Vec16 q = round_even(min(max(mul(outliers, all(inverse)), all(-kMost)), all(kMost)));
    const Vec16 high = round_even(mul(q, all(1.0f / 254.0f)));  // q / 254 rounds to the same
    alignas(16) int8_t highs[kBlock];
    high_sum = add(high_sum, store_int8(highs, high));
    // In each lane one of the two is 0.
    low_sum = add(low_sum, store_int8(low, add(others, fma(high, all(-254.0f), q))));
    count += __builtin_popcount(lanes);
    for (uint32_t left = lanes; left != 0;) {
      const int group = __builtin_ctz(left) / kGroup;
      left &= ~(0xFu << group * kGroup);
      __builtin_memcpy(to.high + at + group * kGroup, highs + group * kGroup, kGroup);
      to.outlier_groups[at / kGroup + group] = 1;
    }
  };
  constexpr int kVectors = 4;  // that one look for outliers is for
  int64_t done = 0;
  for (; done + kVectors * kBlock <= n; done += kVectors * kBlock) {
    Vec16 values[kVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) values[v] = load(x + done + v * kBlock);
    const Vec16 most = max(max(magnitude(values[0]), magnitude(values[1])),
                           max(magnitude(values[2]), magnitude(values[3])));
    const bool none = nonzero_lanes(drop_below(most, all(limit))) == 0;
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      const int64_t at = done + v * kBlock;
      if (none) {
        low_sum = add(low_sum, store_int8(to.low + at, mul(values[v], all(inverse))));
      } else {
        digits(values[v], at, to.low + at);
      }
    }
  }
  quantize_values(x + done, n - done, padded - done, to.low + done,
                  [&](Vec16 values, int64_t at, int8_t* low) { digits(values, done + at, low); });
  row->low_sum = sum_lanes(low_sum);
  row->high_sum = sum_lanes(high_sum);
  row->outliers = count;
}

struct Magnitudes {
  float most, total;
};

// Of a slice: kMagnitudeChains sums, then these, halves by halves.
inline Magnitudes magnitudes_of(const float* x, int64_t n) {
  constexpr int kSums = kChains / kBlock;
  Vec16 tops[2] = {zero(), zero()}, sums[kSums];
  int64_t i = 0;
  {  // gcc keeps an array in registers that is indexed by constants alone
    Vec16 chains[kSums];
#pragma GCC unroll 16
    for (Vec16& chain : chains) chain = zero();
    for (; i + kChains <= n; i += kChains) {
#pragma GCC unroll 16
      for (int v = 0; v < kSums; ++v) {
        const Vec16 values = magnitude(load(x + i + v * kBlock));
        tops[v % 2] = max(tops[v % 2], values);
        chains[v] = add(chains[v], values);
      }
    }
#pragma GCC unroll 16
    for (int v = 0; v < kSums; ++v) sums[v] = chains[v];
  }
  for (int v = 0; i < n; i += kBlock, ++v) {
    const Vec16 values = magnitude(read(x + i, lanes_left(n, i)));
    tops[0] = max(tops[0], values);
    sums[v] = add(sums[v], values);
  }
#pragma GCC unroll 4
  for (int half = kSums / 2; half > 0; half /= 2) {
#pragma GCC unroll 8
    for (int v = 0; v < half; ++v) sums[v] = add(sums[v], sums[v + half]);
  }
  return {.most = max_lanes(max(tops[0], tops[1])), .total = sum_lanes(sums[0])};
}

// The largest magnitude below the limit.
inline float most_below(const float* x, int64_t n, float limit) {
  constexpr int kTops = 4;  // chains
  Vec16 tops[kTops] = {zero(), zero(), zero(), zero()};
  int64_t i = 0;
  for (; i + kTops * kBlock <= n; i += kTops * kBlock) {
#pragma GCC unroll 4
    for (int t = 0; t < kTops; ++t) {
      tops[t] = max(tops[t], magnitude(keep_below(load(x + i + t * kBlock), all(limit))));
    }
  }
  for (; i < n; i += kBlock) {
    tops[0] = max(tops[0], magnitude(keep_below(read(x + i, lanes_left(n, i)), all(limit))));
  }
  return max_lanes(max(max(tops[0], tops[1]), max(tops[2], tops[3])));
}

inline void quantize(const float* x, int64_t n, int64_t padded, float threshold, float ratio,
                     const RowDigits& to, QuantizedRow* row) {
  const auto [absmax, total] = magnitudes_of(x, n);
  *row = {};
  row->high_small = true;
  if (to.outlier_groups != nullptr) {
    __builtin_memset(to.outlier_groups, 0, static_cast<size_t>(padded / kGroup));
  }
  if (!(total <= 3.4028235e38f)) {  // an infinity or a NaN: so is the product
    __builtin_memset(to.low, 0, static_cast<size_t>(padded));
    row->scale = __builtin_nanf("");
    return;
  }
  const float spread = ratio * (total / static_cast<float>(n));
  const float limit = spread < threshold ? spread : threshold;
  if (absmax < limit || absmax < kLeastOutlier) {
    row->scale = absmax / 127.0f;
    quantize_plain(x, n, padded, absmax >= kLeast ? 127.0f / absmax : 0.0f, to.low, row);
    return;
  }
  const float below = most_below(x, n, limit), finest = absmax / (127.0f * 254.0f + 126.0f);
  row->scale = below / 127.0f > finest ? below / 127.0f : finest;
  row->high_small = absmax < static_cast<float>(kSmallDigit) * 254.0f * row->scale;
  quantize_mixed(x, n, padded, limit, 1.0f / row->scale, to, row);
}

inline void norm_row(const NormRow& row) {
  const int64_t h = row.h;
  Vec16 sum = zero(), squares = zero();
  for (int64_t i = 0; i < h; i += kBlock) {
    const int n = lanes_left(h, i);
    Vec16 x = read(row.residual + i, n);
    if (row.delta != nullptr) {
      Vec16 delta = read(row.delta + i, n);
      if (row.delta_bias != nullptr) delta = add(delta, read(row.delta_bias + i, n));
      x = add(x, delta);
      write(row.residual + i, x, n);
    }
    sum = add(sum, x);
    squares = fma(x, x, squares);
  }
  if (row.out == nullptr) return;
  const float count = static_cast<float>(h);
  float mean = 0;
  if (row.layer_norm) {
    mean = sum_lanes(sum) / count;
    squares = zero();
    for (int64_t i = 0; i < h; i += kBlock) {
      const int n = lanes_left(h, i);
      Vec16 x = sub(read(row.residual + i, n), all(mean));
      if (n < kBlock) {  // the lanes behind the end are not -mean but nothing
        float lanes[kBlock] = {};
        store_first(lanes, x, n);
        x = load(lanes);
      }
      squares = fma(x, x, squares);
    }
  }
  const float inverse = 1.0f / __builtin_sqrtf(sum_lanes(squares) / count + row.eps);
  for (int64_t i = 0; i < h; i += kBlock) {
    const int n = lanes_left(h, i);
    Vec16 x =
        mul(mul(sub(read(row.residual + i, n), all(mean)), all(inverse)), read(row.weight + i, n));
    if (row.bias != nullptr) x = add(x, read(row.bias + i, n));
    write(row.out + i, x, n);
  }
}

// tanh(x) = 1 - 2 / (e^2x + 1)
inline Vec16 tanh16(Vec16 x) {
  return sub(all(1.0f), div(all(2.0f), add(exponential(add(x, x)), all(1.0f))));
}

inline Vec16 gelu_tanh(Vec16 x) {
  const Vec16 cube = mul(mul(x, x), x);
  const Vec16 inner = mul(all(0.79788456f), fma(all(0.044715f), cube, x));
  return mul(mul(all(0.5f), x), add(all(1.0f), tanh16(inner)));
}

// erf by Abramowitz and Stegun 7.1.26, absolute error 1.5e-7.
inline Vec16 gelu(Vec16 x) {
  const Vec16 z = mul(magnitude(x), all(0.70710678f));
  const Vec16 t = div(all(1.0f), fma(all(0.3275911f), z, all(1.0f)));
  Vec16 p = all(1.061405429f);
  p = fma(p, t, all(-1.453152027f));
  p = fma(p, t, all(1.421413741f));
  p = fma(p, t, all(-0.284496736f));
  p = fma(p, t, all(0.254829592f));
  const Vec16 tail = mul(mul(p, t), exponential(sub(zero(), mul(z, z))));
  // x * Phi(x) = max(x, 0) - |x| * tail / 2
  return sub(max(x, zero()), mul(mul(magnitude(x), all(0.5f)), tail));
}

inline Vec16 silu(Vec16 x) { return div(x, add(all(1.0f), exponential(sub(zero(), x)))); }

// Blocks kStep at a time: output(values) makes one block of them, bias added.
template <int kStep, typename Output>
inline void finish_blocks(const FinishTile& tile, const Output& output) {
  for (int r = 0; r < tile.rows; ++r) {
    const float* sums = tile.sums + r * kMaxBlocks * kBlock;
    float* out = tile.out + r * tile.out_stride;
    for (int b = 0; b + kStep <= tile.blocks; b += kStep, out += kBlock) {
      Vec16 values[kStep];
#pragma GCC unroll 2
      for (int i = 0; i < kStep; ++i) {
        values[i] = load(sums + (b + i) * kBlock);
        if (tile.bias != nullptr) values[i] = add(values[i], load(tile.bias + (b + i) * kBlock));
      }
      const Vec16 result = output(values);
      if (tile.past_caches) {
        store_past_caches(out, result);
      } else if (const int left = tile.outputs - b / kStep * kBlock; left > 0) {
        write(out, result, left < kBlock ? left : kBlock);
      }
    }
  }
}

inline void finish_tile(const FinishTile& tile) {
  switch (tile.activation) {
    case Activation::kNone:
      return finish_blocks<1>(tile, [](const Vec16(&x)[1]) { return x[0]; });
    case Activation::kRelu:
      return finish_blocks<1>(tile, [](const Vec16(&x)[1]) { return max(zero(), x[0]); });
    case Activation::kGelu:
      return finish_blocks<1>(tile, [](const Vec16(&x)[1]) { return gelu(x[0]); });
    case Activation::kGeluTanh:
      return finish_blocks<1>(tile, [](const Vec16(&x)[1]) { return gelu_tanh(x[0]); });
    case Activation::kSiluGate:
      return finish_blocks<2>(tile, [](const Vec16(&x)[2]) { return mul(silu(x[0]), x[1]); });
  }
}
