#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/check.h"
#include "kernels/fold.h"
#include "kernels/reference/reference_ops.h"

namespace octet::reference {

void store(const Tensor& tensor, int64_t i, float value) {
  if (tensor.dtype() == DType::kF32) {
    tensor.data<float>()[i] = value;
  } else {
    OCTET_CHECK(tensor.dtype() == DType::kBF16, "dtype {}", dtype_name(tensor.dtype()));
    tensor.data<uint16_t>()[i] = f32_to_bf16(value);
  }
}

void embed(const Tensor& ids, const Tensor& table, int32_t first_id, const Tensor& out) {
  const int64_t h = out.dim(1);
  for (int64_t i = 0; i < ids.numel(); ++i) {
    const int64_t row = ids.data<int32_t>()[i] - first_id;
    const bool here = row >= 0 && row < table.dim(0);
    for (int64_t k = 0; k < h; ++k) {
      out.data<float>()[i * h + k] = (here ? element(table, row * h + k) : 0.0f) + 0.0f;
    }
  }
}

void add_norm(const AddNormArgs& args) {
  const int64_t n = args.residual.dim(0), h = args.residual.dim(1);
  OCTET_CHECK(!args.rows, "{} of {} rows", args.rows->size(), n);
  if (!args.unfolded.empty()) {
    fold(args.unfolded, 0, static_cast<size_t>(n * h), args.delta.data<float>());
  }
  for (int64_t i = 0; i < n; ++i) {
    float* residual = args.residual.data<float>() + i * h;
    double sum = 0, squares = 0;
    for (int64_t k = 0; k < h; ++k) {
      float add = args.delta.empty() ? 0.0f : args.delta.data<float>()[i * h + k];
      if (!args.delta_bias.empty()) add += args.delta_bias.data<float>()[k];
      if (!args.delta.empty()) residual[k] += add;
      sum += residual[k];
    }
    if (args.out.empty()) continue;
    const double mean = args.kind == NormKind::kLayer ? sum / static_cast<double>(h) : 0.0;
    for (int64_t k = 0; k < h; ++k) squares += (residual[k] - mean) * (residual[k] - mean);
    const double inverse = 1.0 / std::sqrt(squares / static_cast<double>(h) + args.eps);
    for (int64_t k = 0; k < h; ++k) {
      const double bias = args.bias.empty() ? 0.0 : args.bias.data<float>()[k];
      args.out.data<float>()[i * h + k] =
          static_cast<float>((residual[k] - mean) * inverse * args.weight.data<float>()[k] + bias);
    }
  }
}

namespace {

// The key or value x of d elements, as vector `i` of a cache.
void store_vector(const Tensor& cache, const Tensor& scales, int64_t i, const float* x, int d) {
  if (cache.dtype() != DType::kI8) {
    for (int k = 0; k < d; ++k) store(cache, i * d + k, x[k]);
    return;
  }
  float absmax = 0, sum = 0;
  for (int k = 0; k < d; ++k) {
    absmax = std::max(absmax, std::fabs(x[k]));
    sum += std::fabs(x[k]);
  }
  const bool finite = std::isfinite(sum);
  const float inverse = finite && absmax >= kLeastAbsmax ? 127.0f / absmax : 0.0f;
  for (int k = 0; k < d; ++k) {
    const float q = finite ? std::nearbyint(x[k] * inverse) : 0.0f;
    cache.data<int8_t>()[i * d + k] = static_cast<int8_t>(q);
  }
  scales.data<float>()[i] = finite ? absmax / 127.0f : std::numeric_limits<float>::quiet_NaN();
}

}  // namespace

void rope_store(const RopeStoreArgs& args) {
  const int d = args.head_dim, num_q = args.heads.num_q(), num_kv = args.heads.num_kv();
  const int rotary = args.style == RopeStyle::kNone ? 0 : static_cast<int>(args.cos_sin.dim(1));
  const int half = rotary / 2;
  const int64_t n = args.positions.numel(), width = int64_t{num_q + 2 * num_kv} * d;
  const int64_t block_size = args.cache.k.dim(2);
  for (int64_t i = 0; i < n; ++i) {
    float* row = args.qkv.data<float>() + i * width;
    const float* angles =
        rotary > 0 ? args.cos_sin.data<float>() + args.positions.data<int32_t>()[i] * rotary
                   : nullptr;
    for (int head = 0; head < num_q + num_kv; ++head) {
      float* x = row + int64_t{head} * d;
      if (!args.q_norm.empty()) {
        double squares = 0;
        for (int k = 0; k < d; ++k) squares += double{x[k]} * x[k];
        const double inverse = 1.0 / std::sqrt(squares / d + args.norm_eps);
        const float* weight = (head < num_q ? args.q_norm : args.k_norm).data<float>();
        for (int k = 0; k < d; ++k) x[k] = static_cast<float>(x[k] * inverse * weight[k]);
      }
      for (int p = 0; p < half; ++p) {
        const bool split = args.style == RopeStyle::kHalf;
        float& a = x[split ? p : 2 * p];
        float& b = x[split ? p + half : 2 * p + 1];
        const float c = angles[p], s = angles[half + p], a0 = a, b0 = b;
        a = a0 * c - b0 * s;
        b = b0 * c + a0 * s;
      }
    }
    const int32_t slot = args.slots.data<int32_t>()[i];
    for (int head = 0; head < num_kv; ++head) {
      const int64_t to = (slot / block_size * num_kv + head) * block_size + slot % block_size;
      store_vector(args.cache.k, args.cache.k_scales, to, row + int64_t{num_q + head} * d, d);
      store_vector(args.cache.v, args.cache.v_scales, to, row + int64_t{num_q + num_kv + head} * d,
                   d);
    }
  }
}

}  // namespace octet::reference
