#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "kernels/reference/reference_ops.h"

namespace octet::reference {
namespace {

// A softmax-weighted sum of values, as maximum, sum of exponentials and unnormalised values.
struct Partial {
  float maximum = -std::numeric_limits<float>::infinity();
  float sum = 0;
  std::vector<float> values;  // [d]
};

void merge(Partial& into, const Partial& next) {
  if (next.sum == 0) return;
  const float maximum = std::max(into.maximum, next.maximum);
  const float a = into.sum == 0 ? 0.0f : std::exp(into.maximum - maximum);
  const float b = std::exp(next.maximum - maximum);
  into.sum = into.sum * a + next.sum * b;
  for (size_t k = 0; k < into.values.size(); ++k) {
    into.values[k] = into.values[k] * a + next.values[k] * b;
  }
  into.maximum = maximum;
}

}  // namespace

void attention(const AttentionArgs& args) {
  const int d = args.head_dim, num_q = args.heads.num_q(), num_kv = args.heads.num_kv();
  const int64_t width = int64_t{num_q + 2 * num_kv} * d;
  const int64_t block_size = args.cache.k.dim(2), max_blocks = args.block_tables.dim(1);
  for (int64_t s = 0; s < args.context_lens.numel(); ++s) {
    const int32_t begin = args.cu_seqlens.data<int32_t>()[s];
    const int32_t end = args.cu_seqlens.data<int32_t>()[s + 1];
    const int32_t* table = args.block_tables.data<int32_t>() + s * max_blocks;
    for (int32_t row = begin; row < end; ++row) {
      const int position = args.context_lens.data<int32_t>()[s] - (end - row);
      const int first =
          args.sliding_window > 0 ? std::max(0, position - args.sliding_window + 1) : 0;
      for (int head = 0; head < num_q; ++head) {
        const int kv = (args.heads.q_begin + head) / args.heads.group - args.heads.kv_begin;
        const float* q = args.qkv.data<float>() + row * width + int64_t{head} * d;
        const auto at = [&](int p) {
          return (table[p / block_size] * int64_t{num_kv} + kv) * block_size + p % block_size;
        };
        const auto read = [&](const Tensor& cache, const Tensor& scales, int p, int k) {
          const float stored = element(cache, at(p) * d + k);
          return scales.empty() ? stored : stored * scales.data<float>()[at(p)];
        };
        Partial total{.values = std::vector<float>(d)};
        for (int split = 0; split <= position; split += kAttentionSplit) {
          Partial part{.values = std::vector<float>(d)};
          const int from = std::max(split, first);
          const int to = std::min(split + kAttentionSplit, position + 1);
          std::vector<float> scores;
          for (int p = from; p < to; ++p) {
            float dot = 0;
            for (int k = 0; k < d; ++k) dot += q[k] * read(args.cache.k, args.cache.k_scales, p, k);
            float score = dot * args.scale;
            if (!args.alibi_slopes.empty()) {
              score += args.alibi_slopes.data<float>()[head] * static_cast<float>(p - position);
            }
            scores.push_back(score);
            part.maximum = std::max(part.maximum, score);
          }
          for (int p = from; p < to; ++p) {
            const float weight = std::exp(scores[p - from] - part.maximum);
            part.sum += weight;
            for (int k = 0; k < d; ++k) {
              part.values[k] += weight * read(args.cache.v, args.cache.v_scales, p, k);
            }
          }
          merge(total, part);
        }
        float* out = args.out.data<float>() + (int64_t{row} * num_q + head) * d;
        for (int k = 0; k < d; ++k) out[k] = total.values[k] / total.sum;
      }
    }
  }
}

}  // namespace octet::reference
