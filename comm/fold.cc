#include "comm/fold.h"

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

void fold_roots(const ReducePlan& plan, std::span<const float* const> roots, size_t count,
                float* out) {
  const auto adds = plan.adds();
  OCTET_CHECK(roots.size() <= kMaxSlots, "{} roots", roots.size());
  if (adds.empty()) {
    std::copy_n(roots[0], count, out);
    return;
  }
  if (adds.size() == 1) {
    add(out, roots[0], roots[1], count);
    return;
  }
  // Slot 0's sum is the last to be complete; it is built in `out`, the others in a buffer.
  static thread_local std::vector<float> sums;
  sums.resize(kBlock * roots.size());
  std::array<const float*, kMaxSlots> slot;
  for (size_t begin = 0; begin < count; begin += kBlock) {
    const size_t n = std::min(kBlock, count - begin);
    for (size_t i = 0; i < roots.size(); ++i) slot[i] = roots[i] + begin;
    for (const TreeAdd& step : adds) {
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
