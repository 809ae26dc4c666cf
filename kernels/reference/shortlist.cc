#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "kernels/reference/reference_ops.h"

namespace octet::reference {
namespace {

Shortlist shortlist_of(std::span<const float> logits, float inverse_temperature,
                       int32_t scored_token) {
  Shortlist list{};
  std::fill_n(list.ids, kShortlist, -1);
  std::fill_n(list.logits, kShortlist, -INFINITY);
  list.scored_logit = scored_token < 0 ? -INFINITY : logits[scored_token];
  const bool greedy = inverse_temperature == 0;
  const float top = *std::ranges::max_element(logits);
  for (const float logit : logits) {
    list.sum += std::exp(double{logit} - top);
    if (!greedy) list.mass += std::exp((double{logit} - top) * inverse_temperature);
  }
  if (!std::isfinite(list.sum)) return list;
  std::vector<int32_t> ids(logits.size());
  std::iota(ids.begin(), ids.end(), 0);
  std::ranges::stable_sort(ids, [&](int32_t a, int32_t b) { return logits[a] > logits[b]; });
  list.size = greedy ? 1 : static_cast<int32_t>(std::min<size_t>(ids.size(), kShortlist));
  for (int i = 0; i < list.size; ++i) {
    list.ids[i] = ids[i];
    list.logits[i] = logits[ids[i]];
  }
  return list;
}

}  // namespace

void shortlist(const ShortlistArgs& args) {
  const auto vocab_size = static_cast<size_t>(args.logits.dim(1));
  for (int64_t i = 0; i < args.logits.dim(0); ++i) {
    reinterpret_cast<Shortlist*>(args.out.raw_data())[i] = shortlist_of(
        args.logits.span<const float>().subspan(i * vocab_size, vocab_size),
        args.inverse_temperatures.data<float>()[i], args.scored_tokens.data<int32_t>()[i]);
  }
}

}  // namespace octet::reference
