// The tensor core kernels against the plain one, on the emulation: same bits.
#include <gtest/gtest.h>

#include <bit>
#include <memory>
#include <random>
#include <vector>

#include "kernels/cuda/linear_kernels.h"
#include "tests/kernels/cuda_emulation/cuda_runtime.h"

namespace octet::cuda {
namespace {

struct Layer {
  int n = 0, rows = 0;
  std::vector<int> spans_of_leaf{2};
  std::vector<int> leaves_of_root{1};
  bool mixed = false;
  Activation activation = Activation::kNone;
};

class Kernels : public ::testing::TestWithParam<const LinearKernel*> {
 protected:
  void TearDown() override { cuda_emulation::set_order(cuda_emulation::Order::kForward); }

  template <typename T>
  T* random(size_t count, int low, int high, float unit = 1) {
    auto values = std::make_shared<std::vector<T>>(count);
    std::uniform_int_distribution<int> distribution(low, high);
    for (T& x : *values) x = static_cast<T>(static_cast<float>(distribution(generator_)) * unit);
    held_.push_back(values);
    return values->data();
  }

  LinearCall make_call(const Layer& layer) {
    LinearCall call;
    call.n = layer.n;
    call.mixed = layer.mixed;
    call.rows = layer.rows;
    call.padded_rows = (layer.rows + kRowAlign - 1) / kRowAlign * kRowAlign;
    call.activation = layer.activation;
    call.out_features = layer.activation == Activation::kSiluGate ? layer.rows / 2 : layer.rows;
    call.num_leaves = static_cast<int>(layer.spans_of_leaf.size());
    for (int l = 0; l < call.num_leaves; ++l) {
      call.place[l + 1] = call.place[l] + layer.spans_of_leaf[l] * kSpan;
    }
    call.padded_in = call.place[call.num_leaves];
    call.num_roots = static_cast<int>(layer.leaves_of_root.size());
    for (int r = 0; r < call.num_roots; ++r) {
      call.first_leaf[r + 1] = call.first_leaf[r] + layer.leaves_of_root[r];
    }
    const size_t digits = size_t(call.n) * call.padded_in,
                 leaves = size_t(call.n) * call.num_leaves;
    call.low = random<int8_t>(digits, -127, 127);
    call.weight = random<int8_t>(size_t(call.padded_rows) * call.padded_in, -127, 127);
    call.scales = random<float>(call.padded_rows, -99, 99, 0.001f);
    if (call.num_roots == 1) call.bias = random<float>(call.padded_rows, -99, 99, 0.1f);
    call.row_scales = random<float>(leaves, 1, 99, 0.001f);
    if (layer.mixed) add_outliers(call, digits, leaves);
    call.sums = random<int32_t>(few_rows_sums(call), 0, 0);
    call.arrivals = random<unsigned>(few_rows_arrivals(call), 0, 0);
    return call;
  }

  // In some rows of some leaves; the high digits of the other rows are noise.
  void add_outliers(LinearCall& call, size_t digits, size_t leaves) {
    auto* high = random<int8_t>(digits, -127, 127);
    auto* spans = random<uint8_t>(call.n * span_stride(call.padded_in), 0, 0);
    auto* outliers = random<int32_t>(leaves, 0, 0);
    for (int row = 0; row < call.n; ++row) {
      for (int leaf = 0; leaf < call.num_leaves; ++leaf) {
        const int begin = call.place[leaf], end = call.place[leaf + 1];
        if (generator_() % 4 != 0 || row / 64 % 2 == 1 || begin == end) continue;
        int8_t* digits_of_row = high + int64_t{row} * call.padded_in;
        std::fill(digits_of_row + begin, digits_of_row + end, 0);
        const int k = begin + static_cast<int>(generator_() % 64) * (end - begin) / 64;
        digits_of_row[k] = static_cast<int8_t>(generator_() % 100 + 1);
        spans[row * span_stride(call.padded_in) + k / kSpan] = 1;
        outliers[int64_t{row} * call.num_leaves + leaf] = 1;
      }
    }
    call.high = high;
    call.spans = spans;
    call.outliers = outliers;
  }

  std::vector<float> run(const LinearKernel& kernel, LinearCall call) {
    std::vector<float> out(size_t(call.num_roots) * call.n * call.out_features, -7.0f);
    call.out = out.data();
    EXPECT_TRUE(kernel.accepts(call));
    kernel.run(call, nullptr);
    return out;
  }

  void expect_same_bits(const Layer& layer) {
    const LinearCall call = make_call(layer);
    const std::vector<float> actual = run(*GetParam(), call), expected = run(kAnyRows, call);
    ASSERT_EQ(actual.size(), expected.size());
    int different = 0;
    for (size_t i = 0; i < actual.size(); ++i) {
      if (std::bit_cast<uint32_t>(actual[i]) == std::bit_cast<uint32_t>(expected[i])) continue;
      if (++different < 5) {
        ADD_FAILURE() << "row " << i / call.out_features % call.n << " output "
                      << i % call.out_features << ": " << actual[i] << ", not " << expected[i];
      }
    }
    EXPECT_EQ(different, 0) << layer.n << " x " << layer.rows;
  }

  std::mt19937 generator_{1};
  std::vector<std::shared_ptr<void>> held_;
};

class FewRows : public Kernels {};

// The emulation has four multiprocessors.
TEST_P(FewRows, HaveThePlainKernelsBits_WhateverTheShape) {
  for (const int n : {1, 8, 9, 17, 33, 64}) {
    expect_same_bits({.n = n, .rows = 128, .spans_of_leaf = {9}});
    expect_same_bits({.n = n, .rows = 77, .spans_of_leaf = {2}});
  }
  expect_same_bits({.n = 3, .rows = 300, .spans_of_leaf = {40}});
  expect_same_bits({.n = 64, .rows = 600, .spans_of_leaf = {23}});
  expect_same_bits({.n = 30, .rows = 256, .spans_of_leaf = {1}});
  // The last piece of the outputs is cut short.
  expect_same_bits({.n = 9, .rows = 896, .spans_of_leaf = {3}});
  expect_same_bits({.n = 2, .rows = 2048, .spans_of_leaf = {1}});
}

TEST_P(FewRows, AddLeavesInTheTreesOrder_AndKeepRootsApart) {
  expect_same_bits(
      {.n = 6, .rows = 140, .spans_of_leaf = {1, 2, 0, 1, 3, 1, 1, 2}, .leaves_of_root = {8}});
  expect_same_bits(
      {.n = 64, .rows = 40, .spans_of_leaf = {0, 2, 1, 1, 3, 1, 0}, .leaves_of_root = {1, 2, 4}});
  expect_same_bits(
      {.n = 20, .rows = 40, .spans_of_leaf = std::vector<int>(13, 1), .leaves_of_root = {13}});
  expect_same_bits(
      {.n = 64, .rows = 760, .spans_of_leaf = {3, 0, 5}, .leaves_of_root = {3}, .mixed = true});
}

TEST_P(FewRows, MultiplyTheHighDigitsWhereThereAreOutliers) {
  for (const int n : {5, 16, 31, 64}) {
    expect_same_bits({.n = n, .rows = 128, .spans_of_leaf = {70}, .mixed = true});
    expect_same_bits({.n = n, .rows = 500, .spans_of_leaf = {5}, .mixed = true});
    expect_same_bits(
        {.n = n, .rows = 64, .spans_of_leaf = {1, 0, 2, 5}, .leaves_of_root = {4}, .mixed = true});
  }
}

TEST_P(FewRows, Activate) {
  for (const Activation activation :
       {Activation::kRelu, Activation::kGelu, Activation::kGeluTanh, Activation::kSiluGate}) {
    expect_same_bits({.n = 11, .rows = 154, .mixed = true, .activation = activation});
  }
}

TEST_P(FewRows, DoNotDependOnTheOrderInWhichThreadsRun) {
  for (const auto order : {cuda_emulation::Order::kBackward, cuda_emulation::Order::kShuffled}) {
    cuda_emulation::set_order(order);
    expect_same_bits({.n = 40, .rows = 100, .spans_of_leaf = {31}, .mixed = true});
    expect_same_bits(
        {.n = 9, .rows = 200, .spans_of_leaf = {10, 4}, .leaves_of_root = {2}, .mixed = true});
  }
}

class ManyRows : public Kernels {};

TEST_P(ManyRows, HaveThePlainKernelsBits_WhateverTheShape) {
  expect_same_bits({.n = 128, .rows = 128, .spans_of_leaf = {9}});
  expect_same_bits({.n = 129, .rows = 300, .spans_of_leaf = {1}});
  expect_same_bits({.n = 70, .rows = 77, .spans_of_leaf = {12}});
  expect_same_bits({.n = 300, .rows = 385, .spans_of_leaf = {3}});
  expect_same_bits({.n = 129, .rows = 600, .spans_of_leaf = {1}});
  expect_same_bits({.n = 129, .rows = 820, .spans_of_leaf = {1}});
}

TEST_P(ManyRows, AddLeavesInTheTreesOrder_AndKeepRootsApart) {
  expect_same_bits(
      {.n = 65, .rows = 40, .spans_of_leaf = {1, 2, 0, 1, 3, 1, 1, 2}, .leaves_of_root = {8}});
  expect_same_bits(
      {.n = 65, .rows = 40, .spans_of_leaf = {1, 2, 1, 1, 3, 1, 1}, .leaves_of_root = {1, 2, 4}});
  expect_same_bits(
      {.n = 65, .rows = 40, .spans_of_leaf = std::vector<int>(13, 1), .leaves_of_root = {13}});
}

TEST_P(ManyRows, MultiplyTheHighDigitsWhereThereAreOutliers) {
  expect_same_bits({.n = 200, .rows = 140, .spans_of_leaf = {11}, .mixed = true});
  expect_same_bits({.n = 128, .rows = 64, .spans_of_leaf = {70}, .mixed = true});
  expect_same_bits({.n = 200, .rows = 250, .spans_of_leaf = {70}, .mixed = true});
  expect_same_bits({.n = 200, .rows = 500, .spans_of_leaf = {5}, .mixed = true});
  expect_same_bits(
      {.n = 200, .rows = 300, .spans_of_leaf = {40, 3}, .leaves_of_root = {2}, .mixed = true});
  expect_same_bits(
      {.n = 90, .rows = 64, .spans_of_leaf = {1, 0, 2, 5}, .leaves_of_root = {4}, .mixed = true});
}

TEST_P(ManyRows, Activate) {
  for (const Activation activation :
       {Activation::kRelu, Activation::kGelu, Activation::kGeluTanh, Activation::kSiluGate}) {
    expect_same_bits({.n = 66, .rows = 154, .mixed = true, .activation = activation});
    expect_same_bits({.n = 66, .rows = 160, .mixed = true, .activation = activation});
  }
}

TEST_P(ManyRows, DoNotDependOnTheOrderInWhichThreadsRun) {
  for (const auto order : {cuda_emulation::Order::kBackward, cuda_emulation::Order::kShuffled}) {
    cuda_emulation::set_order(order);
    expect_same_bits(
        {.n = 130, .rows = 200, .spans_of_leaf = {10, 4}, .leaves_of_root = {2}, .mixed = true});
  }
}

std::string kernel_name(const ::testing::TestParamInfo<const LinearKernel*>& info) {
  std::string name = info.param->name;
  std::erase(name, ' ');
  return name;
}

template <int kCluster>
const LinearKernel* streamed(const char* name) {
  static const LinearKernel kernel{
      name, kStreamed.accepts,
      [](const LinearCall& call, cudaStream_t stream) { run_streamed(call, kCluster, stream); }};
  return &kernel;
}

template <int kOutputs, int kCluster>
const LinearKernel* warp_groups(const char* name) {
  static const LinearKernel kernel{name, kWarpGroups.accepts,
                                   [](const LinearCall& call, cudaStream_t stream) {
                                     run_warp_groups(call, kOutputs, kCluster, stream);
                                   }};
  return &kernel;
}

INSTANTIATE_TEST_SUITE_P(Kernels, FewRows,
                         ::testing::Values(&kFewRows, &kStreamed, streamed<1>("streamed by 1"),
                                           streamed<2>("streamed by 2")),
                         kernel_name);
INSTANTIATE_TEST_SUITE_P(Kernels, ManyRows,
                         ::testing::Values(&kManyRows, &kWarpGroups,  //
                                           warp_groups<256, 2>("256 by 2"),
                                           warp_groups<192, 2>("192 by 2"),  //
                                           warp_groups<128, 1>("128 by 1")),
                         kernel_name);

}  // namespace
}  // namespace octet::cuda
