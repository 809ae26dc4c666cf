// Loops of an Int8Sketch: over a block's weights, and over a row of logits. Included only by the
// files that fill a KernelTable, after float_tiles.h, inside their own unnamed namespace.

template <FloatFormat kFormat>
inline void sketch_block_of(const SketchBlock& block) {
  constexpr int64_t kBytes = kBlock * (kFormat == FloatFormat::kF32 ? 4 : 2);
  const auto column = [&](int64_t k) {
    return load_weights<kFormat>(reinterpret_cast<const char*>(block.weights) + k * kBytes);
  };
  Vec16 most = zero(), squares = zero(), errors = zero();
  for (int64_t k = 0; k < block.columns; ++k) most = max(magnitude(column(k)), most);
  float inverses[kBlock];
  store(inverses, most);
  for (float& inverse : inverses) inverse = inverse >= kLeast ? 127.0f / inverse : 0.0f;
  const Vec16 scales = mul(most, all(1.0f / 127.0f)), inverse = load(inverses);
  const auto digit = [&](int64_t k) {  // + 128; 0 behind the last column
    if (k >= block.columns) return to_ints(all(128.0f));
    const Vec16 weight = column(k);
    // What is not a number becomes 127.
    const Vec16 q = max(min(round_even(mul(weight, inverse)), all(127.0f)), all(-127.0f));
    const Vec16 kept = mul(q, scales), lost = sub(weight, kept);
    squares = fma(kept, kept, squares);
    errors = fma(lost, lost, errors);
    return to_ints(add(q, all(128.0f)));
  };
  static_assert(kGroup == 4);
  for (int64_t k = 0; k < block.columns; k += kGroup) {
    const Ints16 first = digit(k), second = shift_left<8>(digit(k + 1));
    const Ints16 third = shift_left<16>(digit(k + 2)), fourth = shift_left<24>(digit(k + 3));
    store(block.digits + k * kBlock, add(add(first, second), add(third, fourth)));
  }
  store(block.scales, scales);
  store(block.squares, squares);
  store(block.errors, errors);
}

inline void sketch_block(const SketchBlock& block) {
  switch (block.format) {
    case FloatFormat::kF32:
      return sketch_block_of<FloatFormat::kF32>(block);
    case FloatFormat::kBF16:
      return sketch_block_of<FloatFormat::kBF16>(block);
    case FloatFormat::kF16:
      return sketch_block_of<FloatFormat::kF16>(block);
    case FloatFormat::kI8:
      return;
  }
}

// A block of a row's logits; -infinity behind the last.
inline Vec16 block_of(const float* logits, int64_t outputs) {
  if (outputs >= kBlock) return load(logits);
  float lanes[kBlock];
  for (int o = 0; o < kBlock; ++o) lanes[o] = o < outputs ? logits[o] : -__builtin_inff();
  return load(lanes);
}

inline float bound_of(const SketchScan& scan, int64_t block) {
  constexpr float kDenormals = 0x1p-100f;  // of a few products below 2^-126, times 2^31
  return scan.error * scan.sizes[block] + scan.norm * scan.errors[block] + kDenormals;
}

inline float sketch_floor(const SketchScan& scan) {
  Vec16 floors = all(-__builtin_inff());
  for (int64_t block = 0, first = 0; first < scan.outputs; ++block, first += kBlock) {
    const Vec16 logits = block_of(scan.logits + first, scan.outputs - first);
    floors = max(sub(logits, all(bound_of(scan, block))), floors);  // where that is a number
  }
  return max_lanes(floors);
}

inline int64_t sketch_next(const SketchScan& scan, int64_t block, int64_t end) {
  for (; block < end; ++block) {
    float* logits = scan.logits + block * kBlock;
    const int64_t outputs = scan.outputs - block * kBlock;
    const float limit = scan.floor - bound_of(scan, block);
    if (!(max_lanes(block_of(logits, outputs)) < limit)) return block;
    const Vec16 none = all(-__builtin_inff());
    if (outputs >= kBlock) {
      store(logits, none);
    } else {
      store_first(logits, none, static_cast<int>(outputs));
    }
  }
  return end;
}
