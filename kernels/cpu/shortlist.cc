#include "kernels/cpu/shortlist.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace octet::cpu {
namespace {

constexpr size_t kLanes = 8;  // partial results; element i goes to lane i % kLanes
using Floats = float __attribute__((vector_size(kLanes * sizeof(float))));
using Ints = int32_t __attribute__((vector_size(kLanes * sizeof(int32_t))));
using Doubles = double __attribute__((vector_size(kLanes * sizeof(double))));

Floats load(const float* values) {
  Floats lanes;
  std::memcpy(&lanes, values, sizeof lanes);
  return lanes;
}

// The last n < kLanes values, and `filler` behind them.
Floats load(std::span<const float> values, float filler) {
  Floats lanes = filler - Floats{};
  std::memcpy(&lanes, values.data(), values.size_bytes());
  return lanes;
}

// exp(x) for x <= 0 within 2 ulp, NaN for NaN: 2^n * p(r), with x = n ln 2 + r and p the Taylor
// polynomial of degree 7.
Floats exp_not_positive(Floats x) {
  constexpr float kLog2E = 1.44269504088896341f, kLn2High = 0.693359375f, kLn2Low = -2.12194440e-4f;
  x = x < -87.0f ? -87.0f - Floats{} : x;
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer
  const Floats shifted = x * kLog2E + kRound;
  const Floats n = shifted - kRound;
  const Floats r = (x - n * kLn2High) - n * kLn2Low;
  Floats p = 1.0f / 5040 - Floats{};
  for (const float c : {1.0f / 720, 1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1.0f, 1.0f}) {
    p = p * r + c;
  }
  const Ints exponent = reinterpret_cast<Ints>(shifted) << 23;  // shifted's low bits are n
  const Floats result = reinterpret_cast<Floats>(reinterpret_cast<Ints>(p) + exponent);
  return x == x ? result : x;
}

bool all_minus_infinity(Floats x) {
  return __builtin_ia32_movmskps256(reinterpret_cast<Floats>(x == -INFINITY)) == 0xFF;
}

float maximum(std::span<const float> values) {
  Floats lanes = -INFINITY - Floats{};
  const size_t whole = values.size() / kLanes * kLanes;
  for (size_t i = 0; i < whole; i += kLanes) {
    const Floats v = load(values.data() + i);
    lanes = v > lanes ? v : lanes;
  }
  const Floats tail = load(values.subspan(whole), -INFINITY);
  lanes = tail > lanes ? tail : lanes;
  float result = lanes[0];
  for (size_t lane = 1; lane < kLanes; ++lane) result = std::max(result, lanes[lane]);
  return result;
}

// Float exponentials added in double, in one fixed order.
class Sum {
 public:
  void add(Floats x) { lanes_ += __builtin_convertvector(exp_not_positive(x), Doubles); }
  void add_first(Floats x, size_t n) {
    const Floats tail = exp_not_positive(x);
    for (size_t lane = 0; lane < n; ++lane) lanes_[lane] += tail[lane];
  }
  double total() const {
    double total = 0;
    for (size_t lane = 0; lane < kLanes; ++lane) total += lanes_[lane];
    return total;
  }

 private:
  Doubles lanes_{};
};

// list.sum and, with kMass, list.mass.
template <bool kMass>
void add_exponentials(std::span<const float> logits, float top, float inverse_temperature,
                      Shortlist& list) {
  Sum sum, mass;
  const size_t whole = logits.size() / kLanes * kLanes;
  for (size_t i = 0; i < whole; i += kLanes) {
    const Floats below = load(logits.data() + i) - top;
    if (all_minus_infinity(below)) continue;  // most of a row of linear_top()
    sum.add(below);
    if (kMass) mass.add(below * inverse_temperature);
  }
  const Floats below = load(logits.subspan(whole), -INFINITY) - top;
  sum.add_first(below, logits.size() - whole);
  if (kMass) mass.add_first(below * inverse_temperature, logits.size() - whole);
  list.sum = sum.total();
  if (kMass) list.mass = mass.total();
}

struct Candidate {
  float logit;
  int32_t id;
};

bool likelier(const Candidate& a, const Candidate& b) {
  return a.logit > b.logit || (a.logit == b.logit && a.id < b.id);
}

// Fills the list. The least likely of those found so far is the heap's first: most blocks have
// nothing above it. REQUIRES: all are numbers.
void pick_likeliest(std::span<const float> logits, Shortlist& list) {
  constexpr size_t kBlock = 64;
  Candidate heap[kShortlist];
  for (size_t begin = 0; begin < logits.size(); begin += kBlock) {
    const auto block = logits.subspan(begin, std::min(kBlock, logits.size() - begin));
    if (list.size == kShortlist && maximum(block) <= heap[0].logit) continue;
    for (size_t i = 0; i < block.size(); ++i) {
      if (list.size == kShortlist) {
        if (block[i] <= heap[0].logit) continue;
        std::pop_heap(heap, heap + list.size--, likelier);
      }
      heap[list.size++] = {block[i], static_cast<int32_t>(begin + i)};
      std::push_heap(heap, heap + list.size, likelier);
    }
  }
  std::sort_heap(heap, heap + list.size, likelier);
  for (int i = 0; i < list.size; ++i) {
    list.ids[i] = heap[i].id;
    list.logits[i] = heap[i].logit;
  }
}

}  // namespace

Shortlist shortlist_of(std::span<const float> logits, float inverse_temperature,
                       int32_t scored_token) {
  Shortlist list{};
  std::fill_n(list.ids, kShortlist, -1);
  std::fill_n(list.logits, kShortlist, -INFINITY);
  list.scored_logit = scored_token < 0 ? -INFINITY : logits[scored_token];
  const float top = maximum(logits);
  if (inverse_temperature == 0 || inverse_temperature == 1) {
    add_exponentials<false>(logits, top, inverse_temperature, list);
    list.mass = inverse_temperature == 0 ? 0 : list.sum;
  } else {
    add_exponentials<true>(logits, top, inverse_temperature, list);
  }
  if (!std::isfinite(list.sum)) return list;
  if (inverse_temperature == 0) {
    list.size = 1;
    list.logits[0] = top;
    list.ids[0] =
        static_cast<int32_t>(std::find(logits.begin(), logits.end(), top) - logits.begin());
    return list;
  }
  pick_likeliest(logits, list);
  return list;
}

}  // namespace octet::cpu
