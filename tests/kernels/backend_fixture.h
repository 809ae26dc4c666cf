// What the backend contract suite shares: every back end of this build at 1 and 3 threads, random
// tensors, linear layers with their inputs, and the way to a back end's memory and back.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "kernels/backend_factory.h"

namespace octet::testing {

inline constexpr float kInfinity = std::numeric_limits<float>::infinity();

struct BackendCase {
  std::string device, isa;
  int threads = 1;
};

// What a suite runs on: all_backends.cc, or avx512_backends.cc.
std::vector<BackendCase> backend_cases();

inline std::string case_name(const ::testing::TestParamInfo<BackendCase>& info) {
  std::string name = info.param.device + info.param.isa + std::to_string(info.param.threads);
  std::erase(name, '-');
  return name;
}

// Copies of host tensors in a back end's memory, which go back to where they came from at the end
// of the statement or block that holds this.
class OnDevice {
 public:
  explicit OnDevice(Backend& backend) : backend_(backend) {}
  ~OnDevice() {
    backend_.synchronize();
    for (const auto& [host, device] : copies_) backend_.download(device, host);
  }
  OnDevice(const OnDevice&) = delete;
  OnDevice& operator=(const OnDevice&) = delete;

  Tensor operator()(const Tensor& host) {
    if (host.empty()) return {};
    const Tensor device = backend_.allocate(host.dtype(), host.shape());
    backend_.upload(host, device);
    copies_.emplace_back(host, device);
    return device;
  }

 private:
  Backend& backend_;
  std::vector<std::pair<Tensor, Tensor>> copies_;
};

class BackendTest : public ::testing::TestWithParam<BackendCase> {
 protected:
  void SetUp() override {
    const BackendCase& c = GetParam();
    const auto isas = available_isas();
    if (c.device == "cpu" && std::find(isas.begin(), isas.end(), c.isa) == isas.end()) {
      GTEST_SKIP() << "this machine has no " << c.isa;
    }
    if (c.device == "cuda" && !cuda_available()) {
      GTEST_SKIP() << "this build or this machine has no CUDA device";
    }
    backend_ = make_backend({.device = c.device, .isa = c.isa, .threads = c.threads});
    reference_ = make_backend({.device = "reference"});
  }

  static Tensor copy(const Tensor& tensor) {
    const Tensor result = Tensor::host(tensor.dtype(), tensor.shape());
    std::copy_n(tensor.raw_data(), tensor.bytes(), result.raw_data());
    return result;
  }
  Tensor random(Shape shape, float spread = 1.0f) {
    const Tensor tensor = Tensor::host(DType::kF32, shape);
    std::normal_distribution<float> normal(0, spread);
    for (float& x : tensor.span<float>()) x = normal(generator_);
    return tensor;
  }

  Tensor integers(Shape shape, int low, int high) {
    const Tensor tensor = Tensor::host(DType::kI32, shape);
    for (int32_t& x : tensor.span<int32_t>()) {
      x = low + static_cast<int>(generator_() % static_cast<uint32_t>(high - low));
    }
    return tensor;
  }

  // Weights as a checkpoint would have them; int8 with scales, or rounded to a float type.
  LinearWeight random_weight(DType dtype, int64_t out, int64_t in) {
    LinearWeight weight;
    weight.weight = Tensor::host(dtype, {out, in});
    if (dtype == DType::kI8) {
      for (int8_t& w : weight.weight.span<int8_t>())
        w = static_cast<int8_t>(generator_() % 255) - 127;
      weight.scales = random({out}, 0.01f);
      return weight;
    }
    const Tensor values = random({out, in}, 0.2f);
    for (int64_t i = 0; i < values.numel(); ++i) {
      const float x = values.data<float>()[i];
      if (dtype == DType::kF32) weight.weight.data<float>()[i] = x;
      if (dtype == DType::kBF16) weight.weight.data<uint16_t>()[i] = f32_to_bf16(x);
      if (dtype == DType::kF16) weight.weight.data<uint16_t>()[i] = f32_to_f16(x);
    }
    return weight;
  }

  static Tensor apply(Backend& backend, const LinearWeight& weight, const Tensor& x) {
    const auto packed = backend.pack(weight);
    backend.reserve(std::max<int64_t>(x.dim(0), 1));
    const Tensor out =
        Tensor::host(DType::kF32, {packed->num_roots(), x.dim(0), packed->out_features()});
    linear(backend, x, *packed, out);
    return out;
  }

  // linear_top() of weights packed for it.
  static Tensor apply_top(Backend& backend, LinearWeight weight, const Tensor& x) {
    weight.top = true;
    const auto packed = backend.pack(weight);
    backend.reserve(std::max<int64_t>(x.dim(0), 1));
    const Tensor out = Tensor::host(DType::kF32, {1, x.dim(0), packed->out_features()});
    {
      OnDevice on(backend);
      backend.linear_top(on(x), *packed, on(out));
    }
    return out;
  }

  // The operations of a back end on host tensors.
  static void linear(Backend& backend, const Tensor& x, const PackedLinear& weight,
                     const Tensor& out) {
    OnDevice on(backend);
    backend.linear(on(x), weight, on(out));
  }
  static void add_norm(Backend& backend, const AddNormArgs& args) {
    OnDevice on(backend);
    AddNormArgs there = args;
    for (Tensor* t : {&there.residual, &there.delta, &there.delta_bias, &there.weight, &there.bias,
                      &there.out}) {
      *t = on(*t);
    }
    backend.add_norm(there);
  }
  static void rope_store(Backend& backend, const RopeStoreArgs& args) {
    OnDevice on(backend);
    RopeStoreArgs there = args;
    for (Tensor* t :
         {&there.qkv, &there.q_norm, &there.k_norm, &there.positions, &there.slots, &there.cos_sin,
          &there.cache.k, &there.cache.v, &there.cache.k_scales, &there.cache.v_scales}) {
      *t = on(*t);
    }
    backend.rope_store(there);
  }
  static void attention(Backend& backend, const AttentionArgs& args) {
    OnDevice on(backend);
    AttentionArgs there = args;
    for (Tensor* t : {&there.qkv, &there.cu_seqlens, &there.context_lens, &there.block_tables,
                      &there.alibi_slopes, &there.cache.k, &there.cache.v, &there.cache.k_scales,
                      &there.cache.v_scales, &there.out}) {
      *t = on(*t);
    }
    backend.attention(there);
  }

  static void expect_near(const Tensor& actual, const Tensor& expected, float tolerance) {
    ASSERT_EQ(actual.numel(), expected.numel());
    float scale = 1e-3f;
    for (const float x : expected.span<float>()) scale = std::max(scale, std::fabs(x));
    for (int64_t i = 0; i < actual.numel(); ++i) {
      ASSERT_NEAR(actual.data<float>()[i], expected.data<float>()[i], tolerance * scale)
          << "element " << i;
    }
  }

  static bool same_bits(const float* a, const float* b, int64_t count) {
    return std::equal(reinterpret_cast<const uint32_t*>(a),
                      reinterpret_cast<const uint32_t*>(a) + count,
                      reinterpret_cast<const uint32_t*>(b));
  }

  std::mt19937 generator_{1};
  std::unique_ptr<Backend> backend_, reference_;
};

}  // namespace octet::testing
