#include "kernels/fold.h"

#include <algorithm>
#include <array>
#include <vector>

#include "kernels/check.h"

namespace octet {
namespace {

constexpr size_t kBlock = 512;  // elements; with 8 slots 16 KiB
constexpr int kMaxSlots = 64;

void add(float* __restrict to, const float* a, const float* b, size_t count) {
  for (size_t i = 0; i < count; ++i) to[i] = a[i] + b[i];
}

}  // namespace

void fold(const UnfoldedSum& sum, size_t first, size_t count, float* out) {
  const auto roots = sum.roots;
  OCTET_CHECK(roots.size() <= kMaxSlots, "{} roots", roots.size());
  if (sum.adds.empty()) {
    std::copy_n(roots[0] + first, count, out);
    return;
  }
  if (sum.adds.size() == 1) {
    add(out, roots[0] + first, roots[1] + first, count);
    return;
  }
  // Slot 0's sum is the last to be complete; it is built in `out`, the others in a buffer.
  static thread_local std::vector<float> sums;
  sums.resize(kBlock * roots.size());
  std::array<const float*, kMaxSlots> slot;
  for (size_t begin = 0; begin < count; begin += kBlock) {
    const size_t n = std::min(kBlock, count - begin);
    for (size_t i = 0; i < roots.size(); ++i) slot[i] = roots[i] + first + begin;
    for (const TreeAdd& step : sum.adds) {
      float* to = step.target == 0 ? out + begin : sums.data() + step.target * kBlock;
      if (slot[step.target] == to) {
        const float* from = slot[step.source];
        for (size_t i = 0; i < n; ++i) to[i] += from[i];
      } else {
        add(to, slot[step.target], slot[step.source], n);
      }
      slot[step.target] = to;
    }
  }
}

}  // namespace octet
