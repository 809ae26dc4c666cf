#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "kernels/reference/reference_ops.h"

namespace octet::reference {

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
        float maximum = -std::numeric_limits<float>::infinity(), sum = 0;
        std::vector<float> scores, values(d);
        for (int p = first; p <= position; ++p) {
          float dot = 0;
          for (int k = 0; k < d; ++k) dot += q[k] * read(args.cache.k, args.cache.k_scales, p, k);
          float score = dot * args.scale;
          if (!args.alibi_slopes.empty()) {
            score += args.alibi_slopes.data<float>()[head] * static_cast<float>(p - position);
          }
          scores.push_back(score);
          maximum = std::max(maximum, score);
        }
        for (int p = first; p <= position; ++p) {
          const float weight = std::exp(scores[p - first] - maximum);
          sum += weight;
          for (int k = 0; k < d; ++k) {
            values[k] += weight * read(args.cache.v, args.cache.v_scales, p, k);
          }
        }
        float* out = args.out.data<float>() + (int64_t{row} * num_q + head) * d;
        for (int k = 0; k < d; ++k) out[k] = values[k] / sum;
      }
    }
  }
}

}  // namespace octet::reference
