// Weights on their way into L2 while others are multiplied. Included only by the files that fill a
// KernelTable, inside their own unnamed namespace.

// What a tile fetches of each of its blocks, evenly over its steps along K. Into L2, not L1: more
// lines can be on their way there, and the rows keep their place in L1.
class FetchAhead {
 public:
  // A step multiplies `bytes` of a block.
  FetchAhead(const WeightFetch& fetch, int64_t steps, int64_t bytes)
      : step_((bytes << kFraction) / fetch.parts),
        ahead_((fetch.ahead << kFraction) + fetch.part * steps * step_) {}

  // `weights`: the block's first ones of this tile.
  void fetch(const void* weights) const {
    __builtin_prefetch(static_cast<const char*>(weights) + (ahead_ >> kFraction), 0, 2);
  }
  void next_step() { ahead_ += step_; }

 private:
  static constexpr int kFraction = 16;  // bits behind the point
  int64_t step_, ahead_;
};
