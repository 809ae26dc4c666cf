// Weights on their way into L2 while others are multiplied. Included only by the files that fill a
// KernelTable, inside their own unnamed namespace.

inline void fetch_into_l2(const void* line) { __builtin_prefetch(line, /*rw=*/0, /*locality=*/2); }

// Fetches a tile's part of the weights ahead, evenly over its steps along K. Into L2, not L1: more
// lines can be on their way there, and the rows keep their place in L1.
class FetchAhead {
 public:
  // A step multiplies `bytes` of a block. REQUIRES: fetch.parts >= 1.
  FetchAhead(const WeightFetch& fetch, int64_t steps, int64_t bytes)
      : ahead_(fetch.ahead),
        step_((bytes << kFraction) / fetch.parts),
        place_(fetch.part * steps * step_) {}

  // `weights`: the block's first ones of this tile.
  void fetch(const void* weights) const {
    fetch_into_l2(static_cast<const char*>(weights) + ahead_ + (place_ >> kFraction));
  }
  void next_step() { place_ += step_; }

 private:
  static constexpr int kFraction = 16;  // bits of a byte, of step_ and place_
  int64_t ahead_, step_, place_;
};
