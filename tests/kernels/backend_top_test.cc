// The backend contract suite: linear_top, of which a row's largest element must have linear's bits.
#include "tests/kernels/backend_fixture.h"

namespace octet {
namespace {

using testing::kInfinity;

class BackendTop : public testing::BackendTest {
 protected:
  struct Count {
    int64_t kept = 0, all = 0;
  };

  // Each element is linear()'s, or -infinity where that is not its row's largest.
  Count check(const LinearWeight& weight, const Tensor& x) {
    const Tensor expected = apply(*backend_, weight, x), actual = apply_top(*backend_, weight, x);
    Count count{.all = actual.numel()};
    const int64_t outputs = weight.weight.dim(0);
    for (int64_t row = 0; row < x.dim(0); ++row) {
      const auto wanted = expected.span<const float>().subspan(row * outputs, outputs);
      const float top = *std::ranges::max_element(wanted);
      for (int64_t i = 0; i < outputs; ++i) {
        const float* at = actual.data<float>() + row * outputs + i;
        const bool same = same_bits(at, &wanted[i], 1);
        EXPECT_TRUE(same || (*at == -kInfinity && wanted[i] < top))
            << "row " << row << ", output " << i << ": " << *at << ", not " << wanted[i] << " of "
            << top;
        count.kept += same;
      }
    }
    return count;
  }
};

TEST_P(BackendTop, TheLargestHasLinearsBits) {
  for (const DType dtype : {DType::kF32, DType::kBF16, DType::kF16, DType::kI8}) {
    for (const auto& [out, in] : std::vector<std::pair<int64_t, int64_t>>{
             {1, 1}, {40, 63}, {1030, 257}, {5000, 576}, {300, 3001}}) {
      for (const int64_t rows : {1, 7}) {
        const Tensor x = random({rows, in}, 3);
        for (int64_t k = rows; k < in; k += 97) x.data<float>()[k] *= 30.0f;  // the first row's
        check(random_weight(dtype, out, in), x);
      }
    }
  }
}

// Rows of weights that differ from the largest one's by the last bit of some columns.
TEST_P(BackendTop, TheLargestIsFoundAmongItsLikes) {
  constexpr int64_t kOut = 3000, kIn = 200;
  const LinearWeight weight = random_weight(DType::kBF16, kOut, kIn);
  auto* rows = weight.weight.data<uint16_t>();
  const Tensor x = random({4, kIn});
  for (int64_t row = 0; row < 4; ++row) {
    const int64_t first = 700 * row + 11;
    for (int64_t k = 0; k < kIn; ++k) {
      rows[first * kIn + k] = f32_to_bf16(x.data<float>()[row * kIn + k]);
    }
    for (int64_t like = 1; like < 20; ++like) {
      auto* to = rows + (first + 31 * like) * kIn;
      std::copy_n(rows + first * kIn, kIn, to);
      for (int i = 0; i < 4; ++i) to[generator_() % kIn] ^= 1;
    }
  }
  check(weight, x);
}

// In int8 row 100 is the largest, in truth row 0: what rounding takes from 32 of the inputs, or of
// the weights, has the same sign in all of them. At any magnitude.
TEST_P(BackendTop, TheLargestIsFoundWhereRoundingHidesIt) {
  constexpr int64_t kIn = 64, kWinner = 0, kOther = 100;
  for (const float size_of_weights : {1.0f, 0x1p-60f, 0x1p-80f, 0x1p60f}) {
    for (const float size_of_inputs : {0x1p-5f, 0x1p-60f, 0x1p60f}) {
      for (const bool of_inputs : {true, false}) {
        const LinearWeight weight{.weight = Tensor::host(DType::kF32, {200, kIn})};
        const Tensor x = Tensor::host(DType::kF32, {1, kIn});
        float* winner = weight.weight.data<float>() + kWinner * kIn;
        float* other = weight.weight.data<float>() + kOther * kIn;
        for (int64_t k = 0; k < kIn; ++k) {
          const bool rounded = k >= 32;
          x.data<float>()[k] = (rounded && of_inputs ? 0.49f : 127.0f) * size_of_inputs;
          winner[k] = (!rounded || of_inputs ? 127.0f : 0.49f) * size_of_weights;
          other[k] = rounded ? -winner[k] : winner[k];
        }
        winner[0] = 126.0f * size_of_weights;
        check(weight, x);
      }
    }
  }
}

// The scale of a product is one or two of the least numbers there are.
TEST_P(BackendTop, TheLargestIsFoundAmongDenormals) {
  const LinearWeight weight{.weight = Tensor::host(DType::kF32, {200, 64})};
  const Tensor x = Tensor::host(DType::kF32, {1, 64});
  constexpr float kScale = 0x1p-75f;  // of inputs
  std::ranges::fill(x.span<float>(), 127.0f * kScale);
  float* rows = weight.weight.data<float>();
  std::fill_n(rows, 64, 100.0f * 1.49f * 0x1p-74f);
  rows[0] = 127.0f * 1.49f * 0x1p-74f;
  std::fill_n(rows + 100 * 64, 64, 127.0f * 0x1p-74f);
  check(weight, x);
}

// The head's chain overflows where a sum in another order would not.
TEST_P(BackendTop, WhatOverflowsIsNotLost) {
  const LinearWeight weight{.weight = Tensor::host(DType::kF32, {200, 3})};
  const Tensor x = Tensor::host(DType::kF32, {1, 3});
  std::ranges::fill(x.span<float>(), 1e38f);
  float* rows = weight.weight.data<float>();
  rows[0] = rows[1] = 2, rows[2] = -3;
  rows[300] = 1.5f;
  check(weight, x);
}

// Calls of one packed weight: some that need all of it are followed by some that need little.
TEST_P(BackendTop, OneCallDoesNotSpoilTheNext) {
  LinearWeight weight = random_weight(DType::kBF16, 4000, 128);
  weight.top = true;
  const auto packed = backend_->pack(weight);
  backend_->reserve(3);
  const Tensor likely = random({3, 128}), zeros = Tensor::host(DType::kF32, {3, 128});
  const Tensor both = copy(likely);
  std::fill_n(both.data<float>() + 128, 128, 0.0f);
  const Tensor top = Tensor::host(DType::kF32, {1, 3, 4000}), all = copy(top);
  for (const Tensor& x : {likely, zeros, likely, likely, both, zeros, zeros, likely, likely}) {
    {
      testing::OnDevice on(*backend_);
      backend_->linear_top(on(x), *packed, on(top));
    }
    linear(*backend_, x, *packed, all);
    for (int64_t row = 0; row < 3; ++row) {
      const auto wanted = all.span<const float>().subspan(row * 4000, 4000);
      const auto actual = top.span<const float>().subspan(row * 4000, 4000);
      EXPECT_EQ(std::ranges::max_element(actual) - actual.begin(),
                std::ranges::max_element(wanted) - wanted.begin());
      EXPECT_EQ(std::ranges::max(actual), std::ranges::max(wanted));
    }
  }
}

// Rows of the same integers in another order each, the first one a unit ahead: int8 has that
// exactly, a chain of additions in fp32 rounds by more.
TEST_P(BackendTop, TheLargestIsFoundWhereItsOwnRoundingDecides) {
  constexpr int64_t kIn = 12'000, kRows = 20;
  const LinearWeight weight{.weight = Tensor::host(DType::kF32, {kRows * 32, kIn})};
  std::vector<float> row(kIn);
  for (float& w : row) w = 64.0f + static_cast<float>(generator_() % 64);
  row[0] = 127;
  for (int64_t i = 0; i < kRows; ++i) {
    std::shuffle(row.begin(), row.end(), generator_);
    float* to = std::copy(row.begin(), row.end(), weight.weight.data<float>() + i * 32 * kIn) - kIn;
    if (i > 0) to[to[0] == 127] -= 1;
  }
  const Tensor x = Tensor::host(DType::kF32, {1, kIn});
  std::ranges::fill(x.span<float>(), 127.0f / 32);
  check(weight, x);
}

TEST_P(BackendTop, LittleOfAFloatHeadIsReadWhereItIsOtherThanLinear) {
  EXPECT_EQ(backend_->has_linear_top(), GetParam().device == "cpu");
  const Count count = check(random_weight(DType::kBF16, 20'000, 576), random({5, 576}));
  if (backend_->has_linear_top()) {
    EXPECT_LT(count.kept * 20, count.all);
  } else {
    EXPECT_EQ(count.kept, count.all);
  }
}

TEST_P(BackendTop, RowsThatAreAllAlikeAreAllLargest) {
  const LinearWeight weight = random_weight(DType::kBF16, 2000, 64);
  auto* rows = weight.weight.data<uint16_t>();
  for (int64_t row = 1; row < 2000; ++row) std::copy_n(rows, 64, rows + row * 64);
  EXPECT_EQ(check(weight, random({3, 64})).kept, 6000);
  std::fill_n(rows, weight.weight.numel(), 0);
  EXPECT_EQ(check(weight, random({3, 64})).kept, 6000);
}

TEST_P(BackendTop, WhatIsNotFiniteIsNotLost) {
  LinearWeight weight = random_weight(DType::kF32, 3000, 100);
  const Tensor x = random({4, 100});
  x.data<float>()[199] = kInfinity;
  x.data<float>()[203] = std::numeric_limits<float>::quiet_NaN();
  weight.top = true;
  const auto packed = backend_->pack(weight);
  backend_->reserve(4);
  const Tensor out = Tensor::host(DType::kF32, {1, 4, 3000});
  {
    testing::OnDevice on(*backend_);
    backend_->linear_top(on(x), *packed, on(out));
  }
  const Tensor expected = apply(*backend_, weight, x);
  for (int64_t i = 3000; i < 9000; ++i) {
    const float actual = out.data<float>()[i], wanted = expected.data<float>()[i];
    EXPECT_TRUE(actual == wanted || (std::isnan(actual) && std::isnan(wanted))) << i;
  }
  const Tensor sound = random({2, 100});
  weight.weight.data<float>()[1234 * 100 + 5] = kInfinity;  // +-infinity in its column of outputs
  check(weight, sound);
  weight.weight.data<float>()[1234 * 100 + 6] = -kInfinity;
  const Tensor actual = apply_top(*backend_, weight, sound);
  for (int64_t row = 0; row < 2; ++row) {
    EXPECT_FALSE(std::isfinite(actual.data<float>()[row * 3000 + 1234]));
  }
}

TEST_P(BackendTop, NothingIsALegalSize) {
  const LinearWeight weight = random_weight(DType::kBF16, 32, 16);
  EXPECT_EQ(apply_top(*backend_, weight, Tensor::host(DType::kF32, {0, 16})).numel(), 0);
  EXPECT_EQ(apply_top(*backend_, random_weight(DType::kBF16, 0, 16), random({3, 16})).numel(), 0);
}

INSTANTIATE_TEST_SUITE_P(All, BackendTop, ::testing::ValuesIn(testing::backend_cases()),
                         testing::case_name);

}  // namespace
}  // namespace octet
