#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "kernels/check.h"
#include "kernels/reference/reference_ops.h"

namespace octet::reference {
namespace {

Tensor copy_of(const Tensor& tensor) {
  if (tensor.empty()) return {};
  const Tensor copy = Tensor::host(tensor.dtype(), tensor.shape());
  std::memcpy(copy.raw_data(), tensor.raw_data(), tensor.bytes());
  return copy;
}

float sum_of_magnitudes(const float* x, int64_t n) {
  float chains[kMagnitudeChains] = {};
  for (int64_t k = 0; k < n; ++k) chains[k % kMagnitudeChains] += std::fabs(x[k]);
  for (int half = kMagnitudeChains / 2; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) chains[i] += chains[i + half];
  }
  return chains[0];
}

float outlier_limit(const float* x, int64_t n, float threshold) {
  return std::min(kOutlierRatio * (sum_of_magnitudes(x, n) / static_cast<float>(n)), threshold);
}

uint64_t count_outliers(const float* x, int64_t n, float threshold) {
  const float limit = outlier_limit(x, n, threshold);
  return std::count_if(x, x + n,
                       [&](float value) { return value != 0 && std::fabs(value) >= limit; });
}

}  // namespace

Linear::Linear(const LinearWeight& weight)
    : weight_(copy_of(weight.weight)),
      scales_(copy_of(weight.scales)),
      bias_(copy_of(weight.bias)),
      product_(weight.product),
      outlier_threshold_(weight.outlier_threshold),
      activation_(weight.activation),
      num_shards_(weight.num_shards),
      shards_(weight.shards),
      cuts_(weight.cuts),
      roots_(subtree_roots(weight.num_shards, weight.shards)) {
  const bool gated = activation_ == Activation::kSiluGate;
  in_features_ = weight_.dim(1);
  out_features_ = gated ? weight_.dim(0) / 2 : weight_.dim(0);
  num_roots_ = static_cast<int>(roots_.size());
  bytes_ = weight_.bytes() + scales_.bytes() + bias_.bytes();
  if (cuts_.empty()) cuts_ = {0, in_features_};
  for (size_t i = 0; i + 1 < cuts_.size(); ++i) {
    OCTET_CHECK(weight_.dtype() != DType::kI8 || cuts_[i + 1] - cuts_[i] <= kMaxInt8Columns,
                "a shard of {} columns", cuts_[i + 1] - cuts_[i]);
  }
  OCTET_CHECK(static_cast<int>(cuts_.size()) == shards_.size() + 1, "{} cuts, {} shards",
              cuts_.size(), shards_.size());
}

float Linear::leaf(const float* x, int64_t o, int64_t begin, int64_t end) const {
  const int64_t row = o * in_features_;
  const bool int8 = weight_.dtype() == DType::kI8;
  if (int8 && product_ != Int8Product::kW8A16) return int8_leaf(x, o, begin, end);
  float sum = 0;
  for (int64_t k = begin; k < end; ++k) {
    const float w = int8 ? weight_.data<int8_t>()[row + k] : element(weight_, row + k);
    sum = std::fma(x[k], w, sum);
  }
  return int8 ? sum * scales_.data<float>()[o] : sum;
}

float Linear::int8_leaf(const float* x, int64_t o, int64_t begin, int64_t end) const {
  const float limit = product_ == Int8Product::kLlmInt8
                          ? outlier_limit(x + begin, end - begin, outlier_threshold_)
                          : std::numeric_limits<float>::infinity();
  if (!std::isfinite(sum_of_magnitudes(x + begin, end - begin))) {
    return std::numeric_limits<float>::quiet_NaN();
  }
  float absmax = 0, below = 0;
  for (int64_t k = begin; k < end; ++k) {
    const float size = std::fabs(x[k]);
    absmax = std::max(absmax, size);
    if (size < limit) below = std::max(below, size);
  }
  const bool outliers = absmax >= limit && absmax >= kLeastOutlier;
  const float most = 127.0f * kHighDigit + 126.0f;
  const float scale = outliers ? std::max(below / 127.0f, absmax / most) : absmax / 127.0f;
  const float inverse = outliers ? 1.0f / scale : absmax >= kLeastAbsmax ? 127.0f / absmax : 0.0f;
  int32_t low_sum = 0, high_sum = 0;
  for (int64_t k = begin; k < end; ++k) {
    const int32_t w = weight_.data<int8_t>()[o * in_features_ + k];
    const auto q = static_cast<int32_t>(std::nearbyint(x[k] * inverse));
    const int32_t high =
        outliers && std::fabs(x[k]) >= limit
            ? static_cast<int32_t>(std::nearbyint(static_cast<float>(q) / kHighDigit))
            : 0;
    high_sum += high * w;
    low_sum += (q - kHighDigit * high) * w;
  }
  const float both = scale * scales_.data<float>()[o];
  const float low = static_cast<float>(low_sum) * both;
  return outliers ? low + static_cast<float>(high_sum) * (kHighDigit * both) : low;
}

float Linear::activated(const float* row, int64_t o) const {
  const float x = row[o];
  switch (activation_) {
    case Activation::kNone:
      return x;
    case Activation::kRelu:
      return std::max(x, 0.0f);
    case Activation::kGelu:
      return 0.5f * x * (1.0f + std::erf(x * 0.70710678f));
    case Activation::kGeluTanh:
      return 0.5f * x * (1.0f + std::tanh(0.79788456f * (x + 0.044715f * x * x * x)));
    case Activation::kSiluGate:
      return x / (1.0f + std::exp(-x)) * row[o + out_features_];
  }
  return x;
}

void Linear::apply(const Tensor& x, const Tensor& out) const {
  if (weight_.dtype() == DType::kI8 && product_ == Int8Product::kLlmInt8) {
    for (int64_t i = 0; i < x.dim(0); ++i) {
      for (size_t shard = 0; shard + 1 < cuts_.size(); ++shard) {
        outliers_ += count_outliers(x.data<float>() + i * in_features_ + cuts_[shard],
                                    cuts_[shard + 1] - cuts_[shard], outlier_threshold_);
      }
    }
  }
  const int64_t n = x.dim(0), rows = weight_.dim(0);
  std::vector<float> line(rows);
  for (size_t root = 0; root < roots_.size(); ++root) {
    std::vector<ShardRange> leaves;
    for (int shard = roots_[root].begin; shard < roots_[root].end; ++shard) {
      leaves.push_back({shard, shard + 1});
    }
    const std::vector<TreeAdd> adds = fold_order(num_shards_, roots_[root], leaves);
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t o = 0; o < rows; ++o) {
        std::vector<float> slots;
        for (const ShardRange& l : leaves) {
          const int local = l.begin - shards_.begin;
          slots.push_back(
              leaf(x.data<float>() + i * in_features_, o, cuts_[local], cuts_[local + 1]));
        }
        for (const TreeAdd& add : adds) slots[add.target] += slots[add.source];
        line[o] = slots[0] + (bias_.empty() ? 0.0f : bias_.data<float>()[o]);
      }
      float* to = out.data<float>() + (static_cast<int64_t>(root) * n + i) * out_features_;
      for (int64_t o = 0; o < out_features_; ++o) to[o] = activated(line.data(), o);
    }
  }
}

}  // namespace octet::reference
