// From exact integer sums to a row's outputs: shared by all int8 kernels, so that they agree to the
// bit. Compiled without contraction.
#pragma once

#include <type_traits>

#include "kernels/cuda/device.cuh"
#include "kernels/cuda/linear_call.h"

namespace octet::cuda {

__device__ inline float leaf_value(int low, int high, int outliers, float row_scale,
                                   float weight_scale) {
  const float both = row_scale * weight_scale;
  const float value = static_cast<float>(low) * both;
  if (outliers == 0) return value;
  return value + static_cast<float>(high) * (static_cast<float>(kHighDigit) * both);
}

// Folds the leaves of one root, pushed left to right, as the tree of kernels/reduction_tree.h does:
// levels_[j] is a complete subtree of 2^j leaves.
class LeafFold {
 public:
  __device__ void push(float value) {
    const int index = count_++;
    bool carried = true;
#pragma unroll
    for (int j = 0; j < kLevels; ++j) {
      if (!carried) continue;
      carried = (index >> j & 1) != 0;
      if (carried) {
        value = levels_[j] + value;
      } else {
        levels_[j] = value;
      }
    }
  }

  __device__ float result() const {
    float value = 0;
    bool any = false;
#pragma unroll
    for (int j = 0; j < kLevels; ++j) {
      if ((count_ >> j & 1) == 0) continue;
      value = any ? levels_[j] + value : levels_[j];
      any = true;
    }
    return value;
  }

 private:
  static constexpr int kLevels = 5;
  static_assert(1 << (kLevels - 1) >= kMaxShards);
  float levels_[kLevels];
  int count_ = 0;
};

// `up` is used by kSiluGate only.
__device__ inline float activate(Activation activation, float x, float up) {
  switch (activation) {
    case Activation::kNone:
      return x;
    case Activation::kRelu:
      return fmaxf(x, 0.0f);
    case Activation::kGelu:
      return 0.5f * x * (1.0f + erff(x * 0.70710678f));
    case Activation::kGeluTanh:
      return 0.5f * x * (1.0f + tanhf(0.79788456f * (x + 0.044715f * x * x * x)));
    case Activation::kSiluGate:
      return x / (1.0f + expf(-x)) * up;
  }
  return x;
}

// Calls use(std::integral_constant<Activation, ...>()).
template <typename Use>
__device__ __forceinline__ void with_activation(Activation activation, const Use& use) {
  switch (activation) {
    case Activation::kNone:
      return use(std::integral_constant<Activation, Activation::kNone>());
    case Activation::kRelu:
      return use(std::integral_constant<Activation, Activation::kRelu>());
    case Activation::kGelu:
      return use(std::integral_constant<Activation, Activation::kGelu>());
    case Activation::kGeluTanh:
      return use(std::integral_constant<Activation, Activation::kGeluTanh>());
    case Activation::kSiluGate:
      return use(std::integral_constant<Activation, Activation::kSiluGate>());
  }
}

// The value of root `root` for packed output `output`: sums(leaf) and high_sums(leaf) are the
// integer products of that output and `row`. With the bias, before the activation.
template <typename Sums, typename HighSums>
__device__ float root_value(const LinearCall& call, int row, int output, int root, const Sums& sums,
                            const HighSums& high_sums) {
  LeafFold fold;
  const float weight_scale = call.scales[output];
  for (int leaf = call.first_leaf[root]; leaf < call.first_leaf[root + 1]; ++leaf) {
    const int64_t at = int64_t{row} * call.num_leaves + leaf;
    const int outliers = call.mixed ? call.outliers[at] : 0;
    fold.push(leaf_value(sums(leaf), outliers > 0 ? high_sums(leaf) : 0, outliers,
                         call.row_scales[at], weight_scale));
  }
  const float value = fold.result();
  return call.bias == nullptr ? value + 0.0f : value + call.bias[output];
}

// Where the result for packed output `output` goes.
__device__ inline float* result_place(const LinearCall& call, int row, int output, int root) {
  const int column = call.activation == Activation::kSiluGate ? output / 2 : output;
  return call.out + (int64_t{root} * call.n + row) * call.out_features + column;
}

}  // namespace octet::cuda
